/**
 * Erasing as an installation does it: each erasure is remembered outside of what a backup brings back,
 * and what is remembered is erased again where it has come back, the key first. Where the log does
 * not say so, since it was restored from before the deletion, a `delete` is sent, so that log, read
 * models and audit follow by the way that they always go.
 */
import type { Commit } from "../../schemas/commit.ts";
import { type ActorRef, systemIds } from "../../schemas/ids.ts";
import { parseKvKey } from "../../schemas/subjects.ts";
import { commandPublisher } from "../../streams/queue/commands.ts";
import type { Streams } from "../../streams/connection.ts";
import { readMark, writeMark } from "../../streams/content/erasure-mark.ts";
import { type Deletion, eraseContent } from "../../streams/content/erasure.ts";
import { DamagedCommit } from "../../streams/faults.ts";
import type { Log } from "../../streams/log/log.ts";
import type { Vault } from "../../streams/content/vault.ts";
import {
  appliedOf,
  type ErasureList,
  markOf,
  openErasureList,
  parseErasures,
  readErasures,
} from "./erasure-list.ts";

/** What an erasure needs. */
export interface Place {
  readonly streams: Streams;
  readonly vault: Vault;
  readonly log: Log;
  /** Signs what the installation asks of its own actors. */
  readonly secret: Uint8Array;
}

export interface Applied {
  /** Actors whose content had come back and is erased. */
  readonly erased: number;
  /** Those that the log did not know as deleted. */
  readonly deleted: number;
}

const at_once_max = 16;

/** Erases an actor's content, remembered in `list` before it begins. Safe to repeat. */
export async function eraseListed(
  { streams, vault, log }: Omit<Place, "secret">,
  list: ErasureList | null,
  ref: ActorRef,
): Promise<void> {
  if (list !== null && !(await vault.erased(ref))) {
    // Nothing follows a deletion, so it is the last commit.
    const last = await log.last(ref);
    if (last !== null) await list.remember({ ref, at: last.at, sequence: last.sequence });
  }
  await eraseContent(streams, vault, ref);
}

/**
 * Remembers what other processes erase, too: workers that have no folder have no list. The result
 * ends it.
 */
export function rememberOthers(
  { vault, log }: Pick<Place, "vault" | "log">,
  list: ErasureList,
  report: (problem: { readonly what: string; readonly ref: ActorRef; error: unknown }) => void,
): () => void {
  const remember = async (ref: ActorRef): Promise<void> => {
    const last = await log.last(ref);
    if (last !== null) await list.remember({ ref, at: last.at, sequence: last.sequence });
  };
  return vault.onErased((actor) => {
    const ref = parseKvKey(actor);
    if (ref === null || list.knows(ref)) return;
    remember(ref).catch((error: unknown) => {
      report({ what: "an erasure could not be added to the list", ref, error });
    });
  });
}

/** Erases what is on a list, and has what the log does not know as deleted deleted. */
export async function applyErasures(place: Place, erasures: readonly Deletion[]): Promise<Applied> {
  const { streams, vault, log, secret } = place;
  const publisher = commandPublisher(streams, secret);
  let erased = 0;
  let deleted = 0;
  const apply = async ({ ref }: Deletion): Promise<void> => {
    if (!(await vault.erased(ref))) {
      await eraseContent(streams, vault, ref);
      erased += 1;
    }
    const last = await lastOf(log, ref);
    if (last === null || last.events.some(({ type }) => type === `${ref.kind}.deleted`)) return;
    await publisher.publish({
      ...{ ref, name: "delete", id: systemIds(), data: {}, reply: null, traceparent: null },
      by: { type: "system", id: "erasures" },
    });
    deleted += 1;
  };
  for (let next = 0; next < erasures.length; next += at_once_max) {
    await Promise.all(erasures.slice(next, next + at_once_max).map(apply));
  }
  return { erased, deleted };
}

/** The actor's last commit; null also for one that cannot be read, which no command would mend. */
async function lastOf(log: Log, ref: ActorRef): Promise<Commit | null> {
  try {
    return await log.last(ref);
  } catch (error) {
    if (error instanceof DamagedCommit) return null;
    throw error;
  }
}

/**
 * Applies the folder's list as far as the keys have not seen it, and opens it for what comes. Lines
 * that cannot be read are told to `report`.
 */
export async function openErasures(
  folder: string,
  place: Place,
  report: (problem: { readonly what: string }) => void,
): Promise<ErasureList> {
  const { streams, log } = place;
  const list = readErasures(folder);
  const sequence = await log.lastSequence();
  const mark = await readMark(streams);
  const done = appliedOf(mark, list, sequence);
  const { erasures, unreadable } = parseErasures(list.subarray(done).toString("latin1"));
  const { erased, deleted } = await applyErasures(place, erasures);
  if (erased + deleted > 0) {
    report({
      what: `What was restored held ${erased} erased conversations or accounts: they are erased again, and ${deleted} are being deleted`,
    });
  }
  if (unreadable.length > 0) {
    report({ what: `${unreadable.length} lines of the list of erasures cannot be read` });
  }
  const now = markOf(list, sequence);
  if (list.length > 0 && now !== mark) await writeMark(streams, now);
  return openErasureList(folder);
}
