/**
 * The secrets that are shown once: refresh tokens, API keys, invitations. Each begins with what kind
 * it is and where it belongs, so that it needs no list to be found; 256 random bits follow, of which
 * only the hash is kept. A plain hash is enough for what nobody chose and nobody can guess.
 */
import { createHash, createHmac, randomBytes, timingSafeEqual } from "node:crypto";
import { isHomeTenant, isUuid } from "../../schemas/ids.ts";

/** What the log keeps of a secret: SHA-256, hex. */
export const hashOfSecret = (secret: string): string =>
  createHash("sha256").update(secret).digest("hex");

/** In constant time. */
export function isHashOf(secret: string, hash: string): boolean {
  const given = Buffer.from(hashOfSecret(secret));
  const kept = Buffer.from(hash);
  return given.length === kept.length && timingSafeEqual(given, kept);
}

const random = (): string => randomBytes(32).toString("base64url");

/** Of what a secret says: `a`, `b`, and the whole as it is hashed. */
interface Parts {
  readonly place: string;
  readonly id: string;
}

function parse(prefix: string, text: string): Parts | null {
  if (!text.startsWith(prefix)) return null;
  const [place = "", id = "", secret = "", ...more] = text.slice(prefix.length).split(".");
  const fits = more.length === 0 && isUuid(id) && /^[A-Za-z0-9_-]{43}$/.test(secret);
  return fits ? { place, id } : null;
}

/** `crt_<account>.<session>.<secret>` */
export const newRefreshToken = (account: string, session: string): string =>
  `crt_${account}.${session}.${random()}`;
/**
 * The token that follows another: always the same one, so that whoever repeats a refresh whose answer
 * was lost gets the answer that was lost. Nobody without the installation's key can tell it.
 */
export const nextRefreshToken = (
  key: Uint8Array,
  account: string,
  session: string,
  token: string,
): string => {
  const secret = createHmac("sha256", key).update(`refresh ${token}`).digest("base64url");
  return `crt_${account}.${session}.${secret}`;
};
export function parseRefreshToken(
  text: string,
): { readonly account: string; readonly session: string } | null {
  const parts = parse("crt_", text);
  return parts === null || !isUuid(parts.place)
    ? null
    : { account: parts.place, session: parts.id };
}

const inTenant = (
  prefix: string,
  text: string,
): { readonly tenant: string; readonly id: string } | null => {
  const parts = parse(prefix, text);
  return parts === null || !isHomeTenant(parts.place)
    ? null
    : { tenant: parts.place, id: parts.id };
};

/** `clq_<tenant>.<key>.<secret>` */
export const newApiKey = (tenant: string, key: string, secret: Buffer): string =>
  `clq_${tenant}.${key}.${secret.toString("base64url")}`;
export const parseApiKey = (text: string): ReturnType<typeof inTenant> => inTenant("clq_", text);

/** `cin_<tenant>.<invitation>.<secret>` */
export const newInvitation = (tenant: string, invitation: string, secret: Buffer): string =>
  `cin_${tenant}.${invitation}.${secret.toString("base64url")}`;
export const parseInvitation = (text: string): ReturnType<typeof inTenant> =>
  inTenant("cin_", text);
