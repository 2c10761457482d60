/** A stream over HTTP that is open. */
import type { ErrorCode } from "../../schemas/errors.ts";
import type { Identity } from "../auth/identity.ts";

/** Whoever takes its reader's rights away, or stops the gateway, ends it with the reason. */
export interface OpenStream {
  readonly identity: Identity;
  fail(code: ErrorCode, detail?: string): void;
}
