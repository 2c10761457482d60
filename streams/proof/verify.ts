/**
 * Proves the log: the chains of the actors asked for in one pass over the stored bytes (I3), and that
 * nothing is missing. A server that meets damage serves what is left without a word, and what is left
 * of a chain is whole in itself; so the sequences must be without a gap from 1 on, the stream must
 * report nothing lost, and whoever else remembers a place of the log must find it there.
 *
 * Parts of the log are read side by side, each by a thread with a connection of its own.
 */
import { availableParallelism } from "node:os";
import { Worker } from "node:worker_threads";
import { all_events, eventFilter, type EventScope } from "../../schemas/subjects.ts";
import type { Streams } from "../connection.ts";
import { type Joined, join } from "./chains.ts";
import { type Finding, findingsOf, logState, missing } from "./state.ts";
import { countOf } from "./scan.ts";
import { type Read, readPart, type Task } from "./task.ts";
import { type Witness, disagreement } from "./witnesses.ts";

export interface Verified extends Omit<Joined, "breaks" | "breaks_total"> {
  /** The last sequence that was looked at. */
  readonly last: number;
  readonly ms: number;
  readonly witnesses: number;
  /** What is wrong, the first `findings_max` of it in log order; none means that the log is whole. */
  readonly findings: readonly Finding[];
  readonly findings_total: number;
}

export interface VerifyOptions {
  readonly scope: EventScope;
  /** Where threads of their own connect to; null reads in this one. */
  readonly url: string | null;
  /** Who remembers a place of the log, asked before the log is: then none may be ahead of it. */
  readonly witnesses: readonly Witness[];
  /** Whether whoever started the server has judged what it dropped then: not all of it is a loss. */
  readonly judged: boolean;
  /** For tests; else as many as pay. */
  readonly threads?: number;
  /** Called now and then with how many of how many sequences have been read. */
  readonly progress?: (read: number, of: number) => void;
}

const findings_max = 1_000;
/** Fewer messages are read sooner than a thread has loaded its code (a second of its core). */
const thread_commits_min = 100_000;
const threads_max = 8;
/**
 * The server takes a third of what we take, so one core is left to it: two threads on two cores took
 * 49 us of a commit (33 ours, 16 the server's), and one reader 27 (20 and 7).
 */
const threadsFor = (last: number): number =>
  Math.min(threads_max, availableParallelism() - 1, Math.floor(last / thread_commits_min));

/** Throws `AppError("unavailable")` when the log cannot be reached, and only then. */
export async function verify(streams: Streams, options: VerifyOptions): Promise<Verified> {
  const { scope, witnesses } = options;
  const began_ms = performance.now();
  const part = eventFilter(scope);
  const filter = part === all_events ? null : part;
  // Counted before the end is known, so that what is appended meanwhile is not missed.
  const counted = filter === null ? 0 : await countOf(streams, filter);
  const state = await logState(streams);
  const told = options.judged && state !== null ? { ...state, lost_bytes: 0 } : state;
  const findings: Finding[] = findingsOf(told);
  const last = state?.last ?? 0;
  const asked = [...new Set(witnesses.map(({ sequence }) => sequence))];
  const tasks = partsOf(last, options.threads ?? threadsFor(last)).map(({ from, to }): Task => ({
    ...{ from, to, filter },
    asked: asked.filter((sequence) => sequence >= from && sequence <= to),
  }));
  const done = tasks.map(() => 0);
  const read = await Promise.all(
    tasks.map((task, at) => {
      const progress = (count: number): void => {
        done[at] = count;
        options.progress?.(
          done.reduce((sum, one) => sum + one, 0),
          last,
        );
      };
      return options.url === null || tasks.length === 1
        ? readPart(streams, task, progress)
        : inThread(options.url, task, progress);
    }),
  );
  const joined = join(read.map(({ chained }) => chained));
  for (const hole of read.flatMap(({ holes }) => holes)) findings.push(missing(hole));
  if (counted > joined.commits) {
    const sentence = `${counted - joined.commits} of ${counted} commits cannot be read.`;
    findings.push({ what: "missing", sentence });
  }
  for (const { sequence, subject, revision, why } of joined.breaks) {
    const sentence = `${subject}, revision ${revision}, at ${sequence}: ${why}.`;
    findings.push({ what: "broken", first: sequence, last: sequence, subject, revision, sentence });
  }
  const hashes = new Map(read.flatMap((part) => part.hashes));
  for (const witness of witnesses) {
    const finding = disagreement(witness, last, hashes.get(witness.sequence));
    if (finding !== null) findings.push(finding);
  }
  const { breaks, breaks_total, ...counts } = joined;
  const findings_total = findings.length + breaks_total - breaks.length;
  return {
    ...counts,
    ...{ last, witnesses: witnesses.length, findings_total },
    ms: performance.now() - began_ms,
    findings: findings.toSorted((a, b) => (a.first ?? 0) - (b.first ?? 0)).slice(0, findings_max),
  };
}

/** The log cut into equal parts, one a thread. */
function partsOf(last: number, threads: number): readonly { from: number; to: number }[] {
  const count = Math.max(1, threads);
  const size = Math.ceil(last / count);
  return Array.from({ length: count }, (_, at) => ({
    from: at * size + 1,
    to: Math.min(last, (at + 1) * size),
  }));
}

/** What a thread has to say. */
export type Said =
  | { readonly progress: number }
  | { readonly read: Read }
  | { readonly failed: string };

function inThread(url: string, task: Task, progress: (count: number) => void): Promise<Read> {
  return new Promise((resolve, reject) => {
    const worker = new Worker(new URL("./verify-thread.ts", import.meta.url), {
      workerData: { url, task },
    });
    worker.on("message", (said: Said) => {
      if ("progress" in said) progress(said.progress);
      else if ("read" in said) resolve(said.read);
      else reject(new Error(said.failed));
    });
    worker.once("error", reject);
    worker.once("exit", (code) => reject(new Error(`a thread ended with ${code}`)));
  });
}
