/**
 * Ids, slugs and the two arguments that make runs repeatable: the clock and the maker of ids.
 * Ids that we make are lowercase UUIDv7 (RFC 9562 §5.7); from a client any lowercase UUID is taken.
 */
import { hash } from "node:crypto";
import Type from "typebox";
import { check } from "./validate.ts";

export const uuid_pattern = "^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$";
export const tenant_pattern = "^[a-z0-9][a-z0-9-]{0,62}$";
export const user_pattern = "^[A-Za-z0-9][A-Za-z0-9._@-]{0,127}$";

export const Uuid = Type.String({ pattern: uuid_pattern, description: "A lowercase UUID." });
export const Tenant = Type.String({ pattern: tenant_pattern, description: "A tenant's slug." });
/** Accounts live in a tenant of their own, which nobody belongs to. */
export const accounts_tenant = "accounts";
export const HomeTenant = Type.String({
  pattern: tenant_pattern.replace("^", `^(?!${accounts_tenant}$)`),
  description: "The slug of a tenant that people can belong to.",
});
export const UserId = Type.String({ pattern: user_pattern, description: "A user's id." });
export const IsoTime = Type.String({
  pattern: "^\\d{4}-\\d\\d-\\d\\dT\\d\\d:\\d\\d:\\d\\d\\.\\d{3}Z$",
  description: "A UTC time with milliseconds, as Date.toISOString() writes it.",
});

export const kinds = ["account", "conversation", "document", "workspace"] as const;
export type Kind = (typeof kinds)[number];

/** What names one actor. */
export interface ActorRef {
  readonly tenant: string;
  readonly kind: Kind;
  readonly id: string;
}

/** `<tenant>.<kind>.<id>`: the key of an actor wherever one string is needed. */
export const refKey = (ref: ActorRef): string => `${ref.tenant}.${ref.kind}.${ref.id}`;

export const isUuid = check(Uuid).is;
export const isTenant = check(Tenant).is;
/** Whether a user, a token or a NATS user may have it as their tenant. */
export const isHomeTenant = check(HomeTenant).is;
export const isUserId = check(UserId).is;
export const isKind = (value: string): value is Kind =>
  (kinds as readonly string[]).includes(value);

/** Names our UUIDs that are made of names; made once, at random, and never to be changed. */
const namespace = "6f1c3a58-0d7e-4b94-9c0b-52e8a7d3f416";

/** UUIDv5 (RFC 9562 §5.5) of a name in our namespace: whoever knows the name knows the id. */
function uuidv5(name: string): string {
  const space = Buffer.from(namespace.replaceAll("-", ""), "hex");
  const bytes = hash("sha1", Buffer.concat([space, Buffer.from(name)]), "buffer").subarray(0, 16);
  bytes.writeUInt8((bytes.readUInt8(6) & 0x0f) | 0x50, 6);
  bytes.writeUInt8((bytes.readUInt8(8) & 0x3f) | 0x80, 8);
  return bytes.toString("hex").replace(/^(.{8})(.{4})(.{4})(.{4})/, "$1-$2-$3-$4-");
}

/** The one actor that a tenant has of kind `workspace`: nobody has to look its id up. */
export const workspaceRef = (tenant: string): ActorRef => ({
  ...{ tenant, kind: "workspace", id: uuidv5(`workspace:${tenant}`) },
});

/** The actor of an account. Its id is made of its e-mail address (docs/decisions/0014-accounts.md). */
export const accountRef = (id: string): ActorRef => ({
  ...{ tenant: accounts_tenant, kind: "account", id },
});

/**
 * Whether a user's id is that of an account: a UUID of version 8, which nothing else of ours is. Other
 * users come with a token of the operator's or of another issuer and have no account here.
 */
export const isAccountId = (user: string): boolean => isUuid(user) && user[14] === "8";

/** Who did something. `user` is a person, `integration` a NATS client, `system` a worker. */
export const By = Type.Object(
  {
    type: Type.Union([Type.Literal("user"), Type.Literal("integration"), Type.Literal("system")]),
    id: Type.String({ minLength: 1, maxLength: 128 }),
  },
  { additionalProperties: false },
);
export type By = Type.Static<typeof By>;

/** Milliseconds since 1970; the only clock that code below `cli/` may read. */
export interface Clock {
  now(): number;
  /** Calls back once after `ms`; the result cancels it. */
  after(ms: number, call: () => void): () => void;
}

/** Makes new UUIDv7 ids. */
export type Ids = () => string;

export const systemClock: Clock = {
  now: () => Date.now(),
  after(ms, call) {
    const timer = setTimeout(call, ms);
    return () => clearTimeout(timer);
  },
};

/** "00" to "ff": four times as fast as formatting each byte (measured). */
const hexes = Array.from({ length: 256 }, (_, byte) => byte.toString(16).padStart(2, "0"));

/** UUIDv7: 48 bits of milliseconds, then 74 random bits. `random` fills the array it is given. */
export function uuidv7(
  now_ms: number,
  random: (bytes: Uint8Array<ArrayBuffer>) => Uint8Array = (bytes) => crypto.getRandomValues(bytes),
): string {
  const bytes = new Uint8Array(16);
  random(bytes);
  const view = new DataView(bytes.buffer);
  view.setUint32(0, Math.floor(now_ms / 0x10000));
  view.setUint16(4, now_ms % 0x10000);
  view.setUint8(6, (view.getUint8(6) & 0x0f) | 0x70);
  view.setUint8(8, (view.getUint8(8) & 0x3f) | 0x80);
  const hex = (at: number): string => hexes[bytes[at] ?? 0] ?? "";
  return `${hex(0)}${hex(1)}${hex(2)}${hex(3)}-${hex(4)}${hex(5)}-${hex(6)}${hex(7)}-${hex(8)}${hex(9)}-${hex(10)}${hex(11)}${hex(12)}${hex(13)}${hex(14)}${hex(15)}`;
}

const pool = new Uint8Array(16 * 256);
let taken = pool.length;

/** Random bytes fetched for many ids at once: a call of the system for each costs more than all else. */
function pooled(bytes: Uint8Array<ArrayBuffer>): Uint8Array {
  if (taken + bytes.length > pool.length) {
    crypto.getRandomValues(pool);
    taken = 0;
  }
  bytes.set(pool.subarray(taken, taken + bytes.length));
  taken += bytes.length;
  return bytes;
}

/** The maker of ids that a process uses. */
export const systemIds: Ids = () => uuidv7(Date.now(), pooled);
