/**
 * `rebuild`: events per second from the first of a long log until the read models made anew are live,
 * on Postgres and on PGlite, beside what reading the same log costs that nobody decodes, and what
 * Postgres takes to copy the same rows into bare tables.
 */
import { type BenchDatabase, startDatabase, startEmbedded } from "./databases.ts";
import { figure, type Print } from "./figures.ts";
import { type LogServer, startLogServer } from "./log-server.ts";
import { writeLongLog } from "./long-log.ts";
import { cpuOfTree, run } from "./processes.ts";
import { rawCopy } from "./raw-copy.ts";
import { replay } from "./replay.ts";
import type { Rebuilt } from "./rebuild-worker.ts";

const events_at_scale_1 = 1_000_000;
/** Which read models are built, all from one reading. */
const names = ["conversations", "messages", "turns", "model_calls"] as const;

export async function rebuildScenario(
  print: Print,
  scale: number,
  say: (line: string) => void,
): Promise<void> {
  const server = await startLogServer("default");
  try {
    const events = Math.max(1_000, Math.round(events_at_scale_1 * scale));
    const began = performance.now();
    const written = await writeLongLog(server.streams, server.vault, { events, seed: 1 });
    const perSecond = (written.events * 1_000) / (performance.now() - began);
    print(figure("rebuild", "generated_events_per_s", perSecond, "1/s"));
    const commits_per_s = await replay(server.streams);
    const replayed = (commits_per_s * written.events) / written.commits;
    print(figure("rebuild", "replay_events_per_s", replayed, "1/s"));
    const first = await startDatabase();
    await on(print, server, first, replayed, "", say);
    if (first.dialect === "pglite") return;
    await on(print, server, await startEmbedded(), replayed, "_pglite", say);
  } finally {
    await server.stop();
  }
}

async function on(
  print: Print,
  server: LogServer,
  database: BenchDatabase,
  replayed: number,
  suffix: string,
  say: (line: string) => void,
): Promise<void> {
  try {
    say(`figures${suffix === "" ? "" : ` that end in ${suffix}`}: ${database.what}`);
    const key = server.masterKey.toString("hex");
    const words = ["bench/rebuild-worker.ts", server.url, database.url, key, ...names];
    const others = [server.pid, database.pid].map((pid) => pid ?? 0);
    const before = others.map(cpuOfTree);
    const program = await run(words, /^(\{.*\})$/);
    const after = others.map(cpuOfTree);
    const rebuilt = JSON.parse(program.said[1] ?? "") as Rebuilt; // our own program's
    await program.gone;
    const rate = (ms: number): number => (rebuilt.events * 1_000) / ms;
    const one = (name: string, value: number, unit: string, limit: number | null = null): void =>
      print(figure("rebuild", `${name}${suffix}`, value, unit, limit));
    one("events_per_s", rate(rebuilt.live_ms), "1/s", replayed);
    one("filled_events_per_s", rate(rebuilt.filled_ms), "1/s", replayed);
    // Of the two cores that a second has; what a busy machine takes from us is not in it.
    const cpu = [rebuilt.cpu_us, ...after.map((us, at) => us - (before[at] ?? 0))];
    for (const [at, name] of ["ours", "nats", "database"].entries()) {
      one(`cpu_us_per_event_${name}`, (cpu[at] ?? 0) / rebuilt.events, "µs");
    }
    const copied = database.dialect === "postgres" ? await rawCopy(database.url, names) : null;
    if (copied !== null) {
      const copy = rebuilt.events / copied.seconds;
      one("rows_per_event", copied.rows / rebuilt.events, "rows");
      one("events_per_s_beside_copy", rate(rebuilt.live_ms), "1/s", copy);
    }
    one("resident_bytes_first_half", rebuilt.half_bytes, "B");
    one("resident_bytes", rebuilt.peak_bytes, "B");
  } finally {
    await database.stop();
  }
}
