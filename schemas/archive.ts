/**
 * The forms of an export of the log: its manifest, and one stored message as a line. What was written
 * once must be readable for as long as somebody keeps it, so a change is a new `format`.
 */
import Type from "typebox";
import { Hash } from "./commit.ts";
import { Tenant } from "./ids.ts";
import { check } from "./validate.ts";

const Count = Type.Integer({ minimum: 0 });
/** A path below the export's folder, which cannot leave it. */
const Path = Type.String({
  pattern: "^[a-z0-9][a-z0-9-]*(/[a-z0-9-]+)*\\.[a-z0-9.]+$",
  maxLength: 200,
});

/** The commits of one tenant in one segment; a segment lies within one day. */
const ArchivedFile = Type.Object({
  path: Path,
  tenant: Tenant,
  day: Type.String({ pattern: "^\\d{4}-\\d\\d-\\d\\d$" }),
  /** Sequences of its first and its last commit. */
  first: Count,
  last: Count,
  commits: Count,
  events: Count,
  bytes: Count,
  sha256: Hash,
});
export type ArchivedFile = Type.Static<typeof ArchivedFile>;

const ArchivedKeys = Type.Object({ path: Path, keys: Count, sha256: Hash });

export const Manifest = Type.Object({
  format: Type.Literal(1),
  compression: Type.Union([Type.Literal("zstd"), Type.Literal("gzip")]),
  /** The tenant of a part; null for the whole log. */
  tenant: Type.Union([Tenant, Type.Null()]),
  /** Up to where it has come: the last commit in its files, and that one's hash. */
  last: Type.Object({ sequence: Count, hash: Type.String({ pattern: "^([0-9a-f]{64})?$" }) }),
  commits: Count,
  events: Count,
  /** Whether it came to where the log ended when it was asked for. */
  complete: Type.Boolean(),
  files: Type.Array(ArchivedFile),
  keys: Type.Union([ArchivedKeys, Type.Null()]),
});
export type Manifest = Type.Static<typeof Manifest>;
export const manifest = check(Manifest);

/** One stored message; its bytes are `commit` as it stands in the line, or `base64`. */
export const ArchivedLine = Type.Object({
  sequence: Type.Integer({ minimum: 1 }),
  time: Type.String(),
  subject: Type.String({ pattern: "^evt(\\.[a-z0-9-]+){3}$" }),
  headers: Type.Array(Type.Tuple([Type.String(), Type.String()])),
  base64: Type.Optional(Type.String()),
  commit: Type.Optional(Type.Unknown()),
});
export const archivedLine = check(ArchivedLine);

/** A content key as it lies in the vault, wrapped; null for one that was erased. */
export const ArchivedKey = Type.Object({
  name: Type.String({ pattern: "^[A-Za-z0-9.-]{1,200}$" }),
  wrapped: Type.Union([Type.String(), Type.Null()]),
});
export const archivedKey = check(ArchivedKey);
