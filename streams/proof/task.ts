/** What one thread does of a verification: it reads its part of the log and follows the chains there. */
import type { Streams } from "../connection.ts";
import { type Chained, Chains } from "./chains.ts";
import { type Hole, type Part, scan } from "./scan.ts";

export interface Task extends Part {
  /** Sequences whose hashes somebody remembers. */
  readonly asked: readonly number[];
}

export interface Read {
  readonly chained: Chained;
  readonly holes: readonly Hole[];
  /** The hashes at the asked sequences, of those that were met. */
  readonly hashes: readonly (readonly [sequence: number, hash: string])[];
}

const told_every = 4_096;

export async function readPart(
  streams: Streams,
  task: Task,
  progress: (read: number) => void,
): Promise<Read> {
  const chains = new Chains();
  const asked = new Set(task.asked);
  const hashes: [number, string][] = [];
  let count = 0;
  const holes = await scan(streams, task, (sequence, subject, data) => {
    const hash = chains.take(sequence, subject, data);
    if (asked.has(sequence)) hashes.push([sequence, hash]);
    count += 1;
    if (count % told_every === 0) progress(sequence - task.from + 1);
  });
  progress(task.to - task.from + 1);
  return { chained: chains.done(), holes, hashes };
}
