/**
 * `colloquy events tail` and `replay`: the log's events as they come, or as they came, at a rate, to
 * stdout or onto a subject for integrations. Both end with 0 when they are told to, or when nobody
 * reads any more.
 */
import { once } from "node:events";
import { all_events, eventFilter, isForeignSubject } from "../../schemas/subjects.ts";
import { foreignSubject } from "../../streams/feed/foreign.ts";
import { sequenceAt } from "../../streams/proof/when.ts";
import type { Streams } from "../../streams/connection.ts";
import { lastSequence } from "../../streams/log/log.ts";
import { readCommits } from "../../streams/log/reader.ts";
import type { Arguments } from "../line/arguments.ts";
import { readConfig } from "../config.ts";
import { openInstallation } from "../folder/installation.ts";
import { complain, printable } from "../line/terminal.ts";
import { placeOf, scopeOf, type Typed, typeOf, wrong } from "./scope.ts";
import { eventsOf, linesFor } from "./told.ts";

/** Commits that `tail` shows of what was there before it. */
const shown_before = 10;

interface Desk {
  readonly streams: Streams;
  /** Commits from one sequence to another, of the actors that were asked for; without `to`, for ever. */
  commits(from: number, to: number | null): ReturnType<typeof readCommits>;
  /** The sequence of a place that was typed. */
  sequenceOf(place: Typed): Promise<number>;
  readonly signal: AbortSignal;
}

/** Works until the end, a signal to end, or a reader that has gone. */
async function atLog(given: Arguments, work: (desk: Desk) => Promise<void>): Promise<number> {
  const scope = scopeOf(given);
  const config = readConfig({ COLLOQUY_DATA: given.value("data") });
  const installation = await openInstallation(config);
  const ending = new AbortController();
  const { signal } = ending;
  const end = (): void => ending.abort();
  const told = ["SIGINT", "SIGTERM", "SIGHUP"] as const;
  for (const name of told) process.on(name, end);
  process.stdout.once("error", end);
  try {
    const { streams } = installation;
    const { vault } = await installation.log();
    const filter = eventFilter(scope);
    await work({
      ...{ streams, signal },
      async *commits(from, to) {
        const read = readCommits(streams, vault, {
          ...{ after: from - 1, signal },
          ...(to === null ? (filter === all_events ? {} : { filter }) : { until: to }),
        });
        for await (const logged of read) {
          const { tenant, kind, id } = logged.ref;
          const meant =
            (scope.tenant ?? tenant) === tenant &&
            (scope.kind ?? kind) === kind &&
            (scope.id ?? id) === id;
          if (meant) yield logged;
        }
      },
      sequenceOf: async (place) =>
        "sequence" in place
          ? place.sequence
          : sequenceAt(streams, place.time_ms, await lastSequence(streams)),
    });
    return 0;
  } finally {
    for (const name of told) process.off(name, end);
    process.stdout.off("error", end);
    await installation.close();
  }
}

/** Writes a line and waits while its reader is behind (I11). */
async function put(line: string, signal: AbortSignal): Promise<void> {
  if (signal.aborted || process.stdout.write(`${line}\n`)) return;
  await once(process.stdout, "drain", { signal }).catch(() => undefined);
}

export async function runTail(given: Arguments): Promise<number> {
  const [from, type] = [placeOf(given, "from"), typeOf(given)];
  return atLog(given, async ({ streams, commits, sequenceOf, signal }) => {
    const last = await lastSequence(streams);
    const first = from === null ? Math.max(1, last - shown_before + 1) : await sequenceOf(from);
    const to = given.on("once") ? last : null;
    if (to !== null && first > to) return;
    for await (const logged of commits(first, to)) {
      for (const line of linesFor(logged, type, given.on("json"))) await put(line, signal);
    }
  });
}

export async function runReplay(given: Arguments): Promise<number> {
  const [from, to, type] = [placeOf(given, "from"), placeOf(given, "to"), typeOf(given)];
  const subject = given.value("subject") ?? null;
  if (from === null) wrong("replay needs --from, a sequence or a time.");
  if (subject !== null && !isForeignSubject(subject)) {
    wrong(
      `--subject ${printable(subject)} is not one for others: it is ours, or no literal subject.`,
    );
  }
  const pace = paceOf(given);
  let sent = 0;
  const code = await atLog(given, async ({ streams, commits, sequenceOf, signal }) => {
    const end = await lastSequence(streams);
    const last = to === null ? end : Math.min(end, await upTo(to, sequenceOf));
    const first = await sequenceOf(from);
    if (first > last) return;
    const onto = subject === null ? null : foreignSubject(streams, subject);
    for await (const logged of commits(first, last)) {
      if ("undecodable" in logged) {
        complain(linesFor(logged, type, false).join("\n"));
        continue;
      }
      for (const event of eventsOf(logged, type)) {
        await pace(sent, signal);
        if (signal.aborted) return;
        const json = JSON.stringify(event);
        await (onto === null ? put(json, signal) : onto.put(event.id, json));
        sent += 1;
      }
    }
    await onto?.flush();
  });
  if (subject !== null) complain(`${sent} events were published on ${subject}.`);
  return code;
}

/** The last sequence that a place takes in: of a time, what was made before it. */
const upTo = async (place: Typed, sequenceOf: Desk["sequenceOf"]): Promise<number> =>
  "sequence" in place ? place.sequence : (await sequenceOf(place)) - 1;

/** Waits until the n-th event is due. */
function paceOf(given: Arguments): (n: number, signal: AbortSignal) => Promise<void> {
  const text = given.value("rate");
  if (text === undefined) return () => Promise.resolve();
  const rate = /^\d{1,7}(\.\d{1,3})?$/.test(text) ? Number(text) : 0;
  if (rate <= 0) wrong("--rate is events a second, more than 0.");
  let began_ms: number | null = null;
  return async (n, signal) => {
    began_ms ??= performance.now();
    const wait_ms = began_ms + (1_000 * n) / rate - performance.now();
    if (wait_ms < 1) return;
    await new Promise<void>((resolve) => {
      const done = (): void => {
        clearTimeout(timer);
        signal.removeEventListener("abort", done);
        resolve();
      };
      const timer = setTimeout(done, wait_ms);
      signal.addEventListener("abort", done);
      if (signal.aborted) done();
    });
  };
}
