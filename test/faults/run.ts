/**
 * One run from one seed: the system starts, people talk, things break until it is enough, all
 * settles, and what is stored is judged. Returns what is wrong; nothing means that every promise held.
 */
import { appendFileSync, mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { connectDatabase } from "../../projections/postgres.ts";
import { refKey } from "../../schemas/ids.ts";
import { seeded } from "../projections/history.ts";
import { foldLine, type Line } from "./fold.ts";
import { openLedger } from "./ledger.ts";
import { linesOf } from "./process.ts";
import { countProgress } from "./progress.ts";
import { openScript } from "./script.ts";
import { badNetwork } from "./sockets.ts";
import { compareReadModels, openStored, projected, type Stored } from "./stored.ts";
import { part_names, startDatabase, startSystem, type System, type User } from "./system.ts";
import { type Talk, type Talker, talker } from "./talker.ts";
import { judgeCommand, judgeRead, judgeReplay, judgeTold, tally } from "./verdict.ts";

export interface RunOptions {
  readonly seed: number;
  /** Empty; the logs of all processes, the store of NATS, and after a failure the whole log. */
  readonly folder: string;
  /** Faults go on until so many have begun and so much time has passed. */
  readonly faults: number;
  readonly minutes: number;
  readonly talkers: number;
}

export interface Verdict {
  readonly wrong: readonly string[];
  readonly summary: string;
}

const users: readonly User[] = [
  { tenant: "acme", user: "ann" },
  { tenant: "acme", user: "ben" },
  { tenant: "beta", user: "ann" },
];
/** A stage that takes longer never ends: a queue that is not served, an answer that never comes. */
const stage_ms = 120_000;
/** What a process says when something is wrong with its data or its code, whatever was broken. */
const alarming = /cannot go on|could not decide|chain is broken|may not follow|has parked|damaged/i;

export async function run(options: RunOptions): Promise<Verdict> {
  const { seed, folder, faults, minutes } = options;
  mkdirSync(folder, { recursive: true });
  const wrong: string[] = [];
  const note = (line: string): void =>
    appendFileSync(join(folder, "script.log"), `${new Date().toISOString()} ${line}\n`);
  const bad = (why: string): void => {
    if (wrong.push(why) <= findings_max) note(`WRONG ${why}`);
  };
  const system = await startSystem(folder, bad);
  const ledger = openLedger();
  const progress = countProgress();
  const network = badNetwork(seeded(seed * 1_000 + 1));
  const talkers: Talker[] = [];
  let stored: Stored | null = null;
  let summary = "";
  /** What `/ready` said last. */
  let unready = "";
  try {
    await stage("the system is ready", () => system.ready((what) => (unready = what)));
    const tokens = await Promise.all(users.map((who) => system.token(who)));
    for (let number = 0; number < options.talkers; number++) {
      const which = number % users.length;
      talkers.push(
        talker({
          ...{ name: `s${seed}t${number}`, url: system.url, network, ledger, progress },
          wrong: bad,
          ...{ tenant: users[which]?.tenant ?? "", token: tokens[which] ?? "" },
          roll: seeded(seed * 1_000 + 100 + number),
          jitter: seeded(seed * 1_000 + 500 + number),
        }),
      );
    }
    let over = false;
    const working = talkers.map((one) => one.work(() => over));
    const ends_ms = performance.now() + minutes * 60_000;
    const script = openScript({
      ...{ system, progress, log: note, wrong: bad },
      roll: seeded(seed),
    });
    await script.run((done) => done >= faults && performance.now() >= ends_ms);
    over = true;
    network.calm();
    note(`frame ${progress.frames}: all faults are over`);

    const talks = talkers.flatMap((one) => one.talks);
    await stage("the system is ready", () => system.ready((what) => (unready = what)));
    await stage("every talker has finished", () => Promise.all(working));
    await stage("every command is answered", () =>
      Promise.all(talkers.map((one) => one.answered())),
    );
    const reader = (stored = await openStored(system.natsUrl, system.masterKey));
    await stage("the queue is empty", async () => {
      while ((await reader.waiting()).length > 0) await new Promise((look) => setTimeout(look, 50));
    });
    const lines = new Map<Talk, Line>();
    for (const talk of talks) lines.set(talk, foldLine(await reader.line(talk.ref)));
    await stage("every client was told everything", () =>
      Promise.all(
        [...lines].flatMap(([{ told, beside }, { revision }]) =>
          [told, beside].map((one) => one.until(() => one.events.length >= revision)),
        ),
      ),
    );
    await judge(system, reader, lines);
    const turns = [...lines.values()].flatMap((line) => [...line.turns.values()]);
    const ended = (status: string): number => turns.filter((turn) => turn.status === status).length;
    const restarts = turns.reduce((sum, turn) => sum + turn.restarts, 0);
    summary = [
      `${script.done.length} faults (${system.databaseKind})`,
      `${network.cuts} sockets cut, ${progress.frames} frames told`,
      `${talks.length} conversations, ${ledger.entries.size} commands: ${tally(ledger.entries.values())}`,
      `${turns.length} turns: ${ended("done")} completed, ${ended("cancelled")} cancelled, ${ended("failed")} failed, ${restarts} restarts`,
    ].join("; ");
  } catch (error) {
    bad(error instanceof Error ? error.message : String(error));
    for (const { ref, told } of talkers.flatMap((one) => one.talks)) {
      if (told.open.size > 0) bad(`${ref.id} is still generating: ${[...told.open].join(", ")}`);
    }
  } finally {
    for (const one of talkers) one.close();
    await keep(stored);
    await stored?.close().catch(() => undefined);
    await system.stop();
  }
  for (const name of part_names) {
    for (const line of await linesOf(folder, name, alarming)) wrong.push(`${name} said: ${line}`);
  }
  return { wrong, summary };

  /** Fails when it takes too long, and says what it waited for. */
  async function stage(what: string, work: () => Promise<unknown>): Promise<void> {
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise<never>((_, reject) => {
      timer = setTimeout(
        () => reject(new Error(`after ${stage_ms} ms not yet: ${what} ${unready}`)),
        stage_ms,
      );
    });
    note(`until ${what}`);
    await Promise.race([work(), late]).finally(() => clearTimeout(timer));
  }

  async function judge(system: System, reader: Stored, lines: ReadonlyMap<Talk, Line>) {
    const end = await reader.end();
    const byRef = new Map([...lines].map(([{ ref }, line]) => [refKey(ref), line]));
    for (const entry of ledger.entries.values()) {
      const line = byRef.get(refKey(entry.ref));
      if (line !== undefined) for (const why of judgeCommand(entry, line)) bad(why);
    }
    for (const [talk, line] of lines) for (const why of judgeTold(talk, line)) bad(why);
    for (const subject of await reader.dead()) bad(`a dead letter: ${subject}`);
    const log = await reader.log();
    for (const one of log) {
      if ("undecodable" in one) bad(`the commit at ${one.sequence} does not decode: ${one.reason}`);
      else if (one.ref.kind !== "workspace" && !byRef.has(refKey(one.ref)))
        bad(`nobody asked for ${refKey(one.ref)}`);
    }
    for (const why of await reader.anchors()) bad(why);
    const database = await connectDatabase(system.databaseUrl);
    const empty = await startDatabase(join(folder, "projected-again"));
    try {
      await stage("the read models have reached the end", () => projected(database, end));
      for (const why of await compareReadModels(database, empty.url, () => reader.log())) bad(why);
    } finally {
      await database.close();
      await empty.stop();
    }
    // And what an operator would run.
    for (const words of [
      ["projections", "verify", "--all"],
      ["events", "verify"],
    ]) {
      const { code, out, err } = await system.colloquy(words);
      if (code !== 0) bad(`colloquy ${words.join(" ")} ended with ${code}: ${out}${err}`);
    }
    for (const who of users) {
      const door = { url: system.url, token: await system.token(who) };
      const index = users.indexOf(who);
      const theirs = [...lines].filter(([talk]) =>
        talkers.some((one, at) => at % users.length === index && one.talks.includes(talk)),
      );
      for (const [{ ref }, line] of theirs) {
        for (const why of await judgeRead(door, ref.id, line, end)) bad(why);
      }
      await stage(`${who.tenant} ${who.user} has read everything anew`, async () => {
        const ids = theirs.map(([{ ref }, line]) => [ref.id, line] as const);
        for (const why of await judgeReplay(door, ids)) bad(why);
      });
    }
  }

  /** What whoever looks for the reason needs beside the processes' own logs. */
  async function keep(reader: Stored | null): Promise<void> {
    const jsonLines = (rows: readonly unknown[]): string =>
      rows.map((row) => `${JSON.stringify(row)}\n`).join("");
    writeFileSync(join(folder, "commands.jsonl"), jsonLines([...ledger.entries.values()]));
    const talks = talkers.flatMap((one) => one.talks);
    const told = talks.map((talk) => ({
      id: talk.ref.id,
      open: [...talk.told.open],
      revisions: [talk.told.events.length, talk.beside.events.length],
    }));
    writeFileSync(join(folder, "told.jsonl"), jsonLines(told));
    const source = reader ?? (await openStored(system.natsUrl, system.masterKey).catch(() => null));
    const log = (await source?.log().catch(() => [])) ?? [];
    const waiting = (await source?.waiting().catch(() => [])) ?? [];
    const consumers = (await source?.consumers().catch(() => [])) ?? [];
    writeFileSync(join(folder, "queue.jsonl"), jsonLines([...waiting, ...consumers]));
    writeFileSync(join(folder, "log.jsonl"), jsonLines(log));
    if (reader === null) await source?.close().catch(() => undefined);
  }
}

/** Beyond this many the script's log says no more; the verdict still counts them. */
const findings_max = 100;
