/**
 * Guards the embedded log. A server that meets a damaged byte serves a shorter log without a word, so
 * what it says when it has just started is held against what the data folder remembers: the files as
 * they lay before it opened them, and the `head` file, which is how far the log had come. What is
 * found is remembered, too: the server itself tells it once.
 */
import { renameSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { Clock } from "../../schemas/ids.ts";
import { type BeforeStart, damaged, damageOf } from "../../streams/proof/before-start.ts";
import { findingsOf, type LogState, logState } from "../../streams/proof/state.ts";
import { disagreement, type Witness } from "../../streams/proof/witnesses.ts";
import type { Streams } from "../../streams/connection.ts";
import type { Log } from "../../streams/log/log.ts";
import { CliError } from "../line/cli-error.ts";
import { readText } from "./data-folder.ts";

const every_ms = 3_000;
const homeOf = (folder: string): string => join(folder, "nats");

/**
 * Looks at the log of an embedded server right after its start, before anybody makes streams; what is
 * wrong is remembered in the folder, and `refuseDamage` and `colloquy events verify` tell it.
 */
export async function lookAtStart(streams: Streams, before: BeforeStart): Promise<void> {
  const why = before.log ? damageIn(await logState(streams), before) : null;
  if (why === null) before.forget();
  else before.condemn(why);
}

function damageIn(state: LogState | null, before: BeforeStart): string | null {
  if (state === null) return "The server could not open the log.";
  const cut = before.cutBytes();
  const sentences = findingsOf({ ...state, lost_bytes: 0 }).map(({ sentence }) => sentence);
  if (cut > 0) sentences.push(`The server cut ${cut} damaged bytes off when it opened it.`);
  return sentences.length === 0 ? null : sentences.join(" ");
}

/** What the folder knows to be wrong with its log, as a sentence; or null. */
export const knownDamage = (folder: string): string | null => damageOf(homeOf(folder));

/** Throws `CliError` that says what to restore when the folder's log is known to be damaged. */
export function refuseDamage(folder: string): void {
  const why = knownDamage(folder);
  if (why === null) return;
  const home = homeOf(folder);
  const kept = join(home, damaged);
  throw new CliError(
    `The log in ${folder} is damaged. ${why} Restore ${home} from a backup (what lay there before the server opened it is in ${kept}), or remove ${kept} to go on with what is left.`,
  );
}

/** What the `head` file remembers; null when there is none. */
export function headWitness(folder: string): Witness | null {
  const [sequence = "", hash = ""] = readText(join(folder, "head"))?.split(" ") ?? [];
  if (!/^[1-9]\d{0,15}$/.test(sequence)) return null;
  return { who: "The head file", sequence: Number(sequence), hash };
}

/**
 * Compares the log with what others remember of it; `folder` is null when its server is not ours, and
 * `instead` is what else one could do. Throws `CliError` that says what to restore.
 */
export async function checkWitnesses(
  log: Pick<Log, "lastSequence" | "hashAt">,
  witnesses: readonly Witness[],
  folder: string | null,
  instead = "",
): Promise<void> {
  const end = await log.lastSequence();
  for (const witness of witnesses) {
    const { sequence } = witness;
    const found = sequence > end ? undefined : ((await log.hashAt(sequence)) ?? "nothing");
    const finding = disagreement(witness, end, found);
    if (finding === null) continue;
    const what = folder === null ? "the log" : homeOf(folder);
    throw new CliError(
      `${finding.sentence} Restore ${what} from the backup that belongs to it${instead}.`,
    );
  }
}

/** Compares the log with the folder's `head` file. Throws `CliError` that says what to restore. */
export async function checkHead(
  folder: string,
  log: Pick<Log, "lastSequence" | "hashAt">,
): Promise<void> {
  const head = headWitness(folder);
  if (head === null) return;
  const instead = `, or remove ${join(folder, "head")} to go on with what is there`;
  await checkWitnesses(log, [head], folder, instead);
}

/** Writes the head as it is now; never one that lies behind what was written. */
export async function writeHead(
  folder: string,
  log: Pick<Log, "lastSequence" | "hashAt">,
): Promise<void> {
  const sequence = await log.lastSequence();
  const known = headWitness(folder)?.sequence ?? 0;
  if (sequence === known) return;
  if (sequence < known)
    throw new CliError(`The log ends at ${sequence}, but it had reached ${known}.`);
  const hash = await log.hashAt(sequence);
  if (hash === null) return;
  const file = join(folder, "head");
  writeFileSync(`${file}.next`, `${sequence} ${hash}\n`);
  renameSync(`${file}.next`, file);
}

/** Looks, and writes the head, every few seconds; the result writes it once more and ends. */
export function keepHead(
  folder: string,
  log: Log,
  clock: Clock,
  look: () => Promise<void>,
): () => Promise<void> {
  let ended = false;
  let cancel = (): void => undefined;
  const write = async (): Promise<void> => {
    try {
      await look();
      await writeHead(folder, log);
    } catch {
      // One that fails is made good by the next.
    }
  };
  const go = (): void => {
    cancel = clock.after(every_ms, () => {
      void write().finally(() => (ended ? undefined : go()));
    });
  };
  go();
  return async () => {
    ended = true;
    cancel();
    await write();
  };
}
