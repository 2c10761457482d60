/**
 * The user id of an account: made of its e-mail address under a key of the installation, so that two
 * registrations of one address meet in one actor, and whoever reads ids or subjects learns no address
 * (docs/decisions/0014-accounts.md).
 */
import { createHmac } from "node:crypto";
import { limits } from "../../schemas/limits.ts";

/** One form for every way to write an address; null when it is none. */
export function normalEmail(text: string): string | null {
  const email = text.normalize("NFC").trim().toLowerCase();
  // RFC 5321 allows more than anybody has; an address that cannot be is refused, no more.
  const fits = /^[^\s@\p{Cc}]{1,64}@[^\s@\p{Cc}]+\.[^\s@.\p{Cc}]+$/u.test(email);
  return fits && Buffer.byteLength(email) <= limits.email_chars_max ? email : null;
}

/** UUID version 8 (RFC 9562 §5.8) of a normalised address. */
export function accountIdOf(key: Uint8Array, email: string): string {
  const bytes = createHmac("sha256", key).update(email).digest().subarray(0, 16);
  bytes.writeUInt8((bytes.readUInt8(6) & 0x0f) | 0x80, 6);
  bytes.writeUInt8((bytes.readUInt8(8) & 0x3f) | 0x80, 8);
  return bytes.toString("hex").replace(/^(.{8})(.{4})(.{4})(.{4})/, "$1-$2-$3-$4-");
}
