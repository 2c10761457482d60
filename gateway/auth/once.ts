/**
 * What is made and shown once (an API key, an invitation, a webhook's secret), so that whoever lost the
 * answer can ask for it again with the same `Idempotency-Key`. No secret is kept for that: for a day
 * there is a salt, and of salt and the installation's key the same id and secret come out again. When
 * the salt is gone, the same key makes something new: what was revoked cannot come back.
 */
import { createHmac, randomBytes } from "node:crypto";
import { AppError } from "../../schemas/errors.ts";
import { derivedId } from "../http/asking.ts";
import type { Call } from "../http/call.ts";
import { nameOfRequest } from "../http/idempotency.ts";

export interface Minted {
  /** Of what is made. */
  readonly id: string;
  readonly command: string;
  /** 256 bits. */
  readonly secret: Buffer;
}

/** `what` stands for the operation. Throws `unavailable` when a key cannot be remembered. */
export async function mint(
  { service, who, idempotencyKey: key }: Call,
  what: string,
): Promise<Minted> {
  const { ids, accountsKey, report } = service.ports;
  if (key === null) return { id: ids(), command: ids(), secret: randomBytes(32) };
  const { tenant, user } = who;
  let salt: string;
  try {
    const name = nameOfRequest(who, "SALT", what, key);
    salt = await service.requests.first(name, randomBytes(32).toString("hex"));
  } catch (error) {
    report({ what: "the salt of an Idempotency-Key could not be kept", error });
    throw new AppError("unavailable", undefined, { cause: error });
  }
  return {
    id: derivedId(tenant, user, what, "id", salt),
    command: derivedId(tenant, user, what, "command", salt),
    secret: createHmac("sha256", accountsKey).update(`once ${what} ${salt}`).digest(),
  };
}
