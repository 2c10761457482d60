/**
 * `Idempotency-Key`: the command's id is made of it (asking.ts), so that a repeat takes effect
 * once, for ever. Here another request under the same key is refused by name, for a day
 * (draft-ietf-httpapi-idempotency-key-header §2.7).
 */
import { createHash } from "node:crypto";
import { AppError } from "../../schemas/errors.ts";
import type { Identity } from "../auth/identity.ts";
import type { Service } from "../service.ts";

const hashOf = (...parts: readonly (string | Uint8Array)[]): string => {
  const hash = createHash("sha256");
  // Each with its length, so that no two lists of parts run together.
  for (const part of parts) hash.update(`${Buffer.byteLength(part)} `).update(part);
  return hash.digest("hex");
};

/** What a caller's key at a place is known by. */
export const nameOfRequest = (
  { tenant, user }: Pick<Identity, "tenant" | "user">,
  method: string,
  path: string,
  key: string,
): string => hashOf(tenant, user, method, path, key);

/** Throws `idempotency_mismatch` when the same caller used the key here with another body. */
export async function sameRequest(
  service: Service,
  who: Identity,
  request: {
    readonly key: string;
    readonly method: string;
    readonly path: string;
    readonly body: Uint8Array;
  },
): Promise<void> {
  const { key, method, path, body } = request;
  const name = nameOfRequest(who, method, path, key);
  // Salted by its name: equal bodies of different callers leave no equal traces.
  const print = hashOf(name, body);
  let first: string;
  try {
    first = await service.requests.first(name, print);
  } catch (error) {
    // It is still done at most once; only a mistake of its sender goes unnoticed.
    return service.ports.report({ what: "an Idempotency-Key could not be compared", error });
  }
  if (first !== print) throw new AppError("idempotency_mismatch");
}
