/**
 * Remembers how far the embedded log has come, outside of it. A server that meets a damaged byte
 * serves a shorter log without a word; the `head` file is what notices.
 */
import { renameSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { Log } from "../streams/log.ts";
import type { Clock } from "../schemas/ids.ts";
import { CliError } from "./config.ts";
import { readText } from "./data-folder.ts";

interface LogHead {
  readonly sequence: number;
  /** SHA-256 of the stored bytes there, hex. */
  readonly hash: string;
}

const every_ms = 3_000;

/** Compares the log with what the folder remembers. Throws `CliError` that says what to restore. */
export async function checkHead(folder: string, log: Log): Promise<void> {
  const text = readText(join(folder, "head"));
  if (text === null) return;
  const [sequence = 0, hash = ""] = text
    .split(" ")
    .map((part, at) => (at === 0 ? Number(part) : part));
  if (typeof sequence !== "number" || !Number.isSafeInteger(sequence) || sequence < 1) return;
  const repair = `Restore ${join(folder, "nats")} from the backup that belongs to it, or remove ${join(folder, "head")} to go on with what is there.`;
  const end = await log.lastSequence();
  if (end < sequence) {
    throw new CliError(
      `The log ends at ${end}, but it had reached ${sequence}: events are missing. ${repair}`,
    );
  }
  if ((await log.hashAt(sequence)) !== hash) {
    throw new CliError(`The log holds another event at ${sequence} than before. ${repair}`);
  }
}

/** Writes the head every few seconds; the result writes it once more and ends. */
export function keepHead(folder: string, log: Log, clock: Clock): () => Promise<void> {
  let written = 0;
  let ended = false;
  let cancel = (): void => undefined;
  const write = async (): Promise<void> => {
    const head = await logHead(log);
    if (head === null || head.sequence === written) return;
    const file = join(folder, "head");
    writeFileSync(`${file}.next`, `${head.sequence} ${head.hash}\n`);
    renameSync(`${file}.next`, file);
    written = head.sequence;
  };
  // One that fails is made good by the next.
  const go = (): void => {
    cancel = clock.after(every_ms, () => {
      void write()
        .catch(() => undefined)
        .finally(() => (ended ? undefined : go()));
    });
  };
  go();
  return async () => {
    ended = true;
    cancel();
    await write().catch(() => undefined);
  };
}

async function logHead(log: Log): Promise<LogHead | null> {
  const sequence = await log.lastSequence();
  const hash = await log.hashAt(sequence);
  return hash === null ? null : { sequence, hash };
}
