/**
 * Who a command is by: a gateway signs it, since a NATS message does not name its publisher. The
 * signature is bound to the command's id and tenant, so that it cannot be lent to another command;
 * it has a `typ` of its own and no `exp`, so that it and an access token are never taken for each
 * other although both are signed with `COLLOQUY_SECRET`.
 */
import { errors, jwtVerify, SignJWT } from "jose";
import { By } from "../schemas/ids.ts";
import { check } from "../schemas/validate.ts";

const typ = "colloquy-by+jwt";
const isBy = check(By).is;

export interface BySigner {
  sign(by: By, tenant: string, command: string): Promise<string>;
  /** Who signed for this command; null when the signature is not ours or is for another. */
  verify(token: string, tenant: string, command: string): Promise<By | null>;
}

/** Signs and checks with the installation's secret. */
export function bySigner(secret: Uint8Array): BySigner {
  // Imported once: with the bare bytes the library would import them for every token.
  const imported = crypto.subtle.importKey(
    "raw",
    new Uint8Array(secret),
    { name: "HMAC", hash: "SHA-256" },
    false,
    ["sign", "verify"],
  );
  return {
    async sign(by, tenant, command) {
      const claims = new SignJWT({ by, cmd: command }).setAudience(tenant);
      return claims.setProtectedHeader({ alg: "HS256", typ }).sign(await imported);
    },
    async verify(token, tenant, command) {
      try {
        const options = { algorithms: ["HS256"], typ, audience: tenant };
        const { payload } = await jwtVerify(token, await imported, options);
        return payload["cmd"] === command && isBy(payload["by"]) ? payload["by"] : null;
      } catch (error) {
        if (error instanceof errors.JOSEError) return null;
        throw error;
      }
    },
  };
}

/** Who a command without a signature is by: whoever the tenant's own NATS user is. */
export const integrationOf = (tenant: string): By => ({ type: "integration", id: tenant });
