/**
 * Where the log and what was made of it contradict each other: a log that ends before a checkpoint,
 * holds another commit there, or lacks one. `EVENTS` denies deletes, so each of them is damage, a
 * restored log or another one.
 */
import type { Place } from "./generations.ts";
import type { Hole } from "./lane.ts";
import type { LogSource } from "./log-source.ts";

/** The log and the read models contradict each other; the message says what to do. */
export class Contradiction extends Error {}

const remedy =
  "Restore the log that belongs to this database, or let the read models be built anew.";

/** Throws `Contradiction` unless the log holds the commit that the read model `name` has seen last. */
export async function compare(
  source: LogSource,
  name: string,
  { position, hash }: Place,
): Promise<void> {
  if (position === 0) return;
  const end = await source.last();
  if (end < position) {
    throw new Contradiction(
      `The log ends at ${end}, but the read model ${name} has seen ${position}: the log is behind. ${remedy}`,
    );
  }
  if ((await source.hashAt(position)) !== hash) {
    throw new Contradiction(
      `The log holds another commit at ${position} than the one the read model ${name} has seen. ${remedy}`,
    );
  }
}

/** What a hole that a reader met really is: the reader's own when the log does hold what was missed. */
export async function holeIn(source: LogSource, hole: Hole): Promise<unknown> {
  try {
    if ((await source.hashAt(hole.sequence)) !== null) return hole;
  } catch (error) {
    // Nobody can say now; the hole is met again.
    return error;
  }
  return new Contradiction(
    `The log has a hole: nothing stands at ${hole.sequence}, and something behind it. Nothing is ever deleted from it, so it is damaged: "colloquy events verify" says where. Restore the log from a copy.`,
  );
}
