/**
 * Where chains end: the heads of those that changed in a part of the log, and the root over them that
 * an anchor holds. Nothing is decoded but a commit's outline, so a chain counts whatever release wrote
 * it and whether or not its content was erased.
 *
 * A leaf is `<tenant>.<kind>.<id>:<revision>:<sequence>:<hash>` of a chain's last commit there; a
 * hash names all commits before it, so one leaf speaks for its whole chain. Leaves are in the order
 * of their keys.
 */
import { parseChainSubject } from "../../schemas/subjects.ts";
import { parseJson } from "../../schemas/validate.ts";
import { hashOf } from "../log/codec.ts";
import { merkleTree } from "./merkle.ts";
import type { StoredCommitBytes } from "../log/stored-commits.ts";

/** A chain's last commit in some part of the log. */
export interface ChainHead {
  /** The number of its last event; 0 when the commit cannot be read. */
  readonly revision: number;
  readonly sequence: number;
  /** SHA-256 of its bytes, hex. */
  readonly hash: string;
}

/** One commit, as far as anchors look at it. */
export interface ChainCommit extends ChainHead {
  readonly tenant: string;
  /** `<tenant>.<kind>.<id>`. */
  readonly key: string;
  /** It holds anchors and nothing else: no reason for another anchor. */
  readonly anchorsOnly: boolean;
}

/** What changed of one tenant. */
export interface Changes {
  readonly heads: Map<string, ChainHead>;
  commits: number;
  /** Whether there is more than anchors among it. */
  substantial: boolean;
}

export const noChanges = (): Changes => ({ heads: new Map(), commits: 0, substantial: false });

/** Takes one more commit into the changes; in log order. */
export function addTo(changes: Changes, commit: ChainCommit): void {
  const { key, revision, sequence, hash, anchorsOnly } = commit;
  changes.heads.set(key, { revision, sequence, hash });
  changes.commits += 1;
  if (!anchorsOnly) changes.substantial = true;
}

/** Null when the message stands on no subject of an actor. */
export function chainCommit({ subject, sequence, data }: StoredCommitBytes): ChainCommit | null {
  const chain = parseChainSubject(subject);
  if (chain === null) return null;
  const { tenant, kind, key } = chain;
  const value = parseJson(Buffer.from(data.buffer, data.byteOffset, data.byteLength).toString());
  const outline: { revision?: unknown; events?: unknown } =
    typeof value === "object" && value !== null ? value : {};
  const events: unknown[] = Array.isArray(outline.events) ? outline.events : [];
  const { revision } = outline;
  const readable = typeof revision === "number" && Number.isSafeInteger(revision);
  return {
    ...{ tenant, key, sequence, hash: hashOf(data) },
    revision: readable && events.length > 0 ? revision + events.length - 1 : 0,
    anchorsOnly: kind === "workspace" && events.length > 0 && events.every(isAnchor),
  };
}

const isAnchor = (event: unknown): boolean =>
  typeof event === "object" && event !== null && "type" in event && event.type === "chain.anchored";

/** Leaves that are hashed before others have their turn: a few milliseconds. */
const leaves_at_once = 1_000;

/** The root over the heads, hex. Lets others run in between. */
export async function rootOf(heads: ReadonlyMap<string, ChainHead>): Promise<string> {
  const tree = merkleTree();
  let left = leaves_at_once;
  for (const key of [...heads.keys()].sort()) {
    const head = heads.get(key);
    if (head !== undefined) tree.add(leafOf(key, head));
    if (--left > 0) continue;
    left = leaves_at_once;
    await new Promise<void>((resolve) => setImmediate(resolve));
  }
  return tree.root();
}

const leafOf = (key: string, { revision, sequence, hash }: ChainHead): string =>
  `${key}:${revision}:${sequence}:${hash}`;
