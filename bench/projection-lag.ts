/**
 * `projection-lag`: from the moment an append is sent until every read model shows it, at a steady
 * rate of events. The projections run as a process of their own, as operators run them; what they
 * announce after each transaction, which is what waiting queries go by, is what counts as visible.
 */
import { projectors } from "../projections/projectors/all.ts";
import { followPositions } from "../streams/live/positions.ts";
import { startDatabase } from "./databases.ts";
import { figure, pause, percentile, type Print } from "./figures.ts";
import { startLogServer } from "./log-server.ts";
import { openLongLog } from "./long-log.ts";
import { run } from "./processes.ts";

/** Events per second; the unadorned figure is that of the second. */
const rates = [100, 1_000, 3_000] as const;
const typical = 1_000;
/** How long each rate is held at scale 1, and at least. */
const held_s = 20;
const held_s_min = 0.2;
const warm_s = 0.5;
/** Conversations that go on at once. */
const width = 200;
const patience_ms = 60_000;

export async function projectionLag(
  print: Print,
  scale: number,
  say: (line: string) => void,
): Promise<void> {
  const database = await startDatabase();
  const server = await startLogServer("default");
  say(`database ${database.what}`);
  try {
    const words = ["cli/main.ts", "serve", "--roles", "gateway,projections"];
    const program = await run(words, /^Colloquy is ready: (\S+)$/, {
      ...{ NATS_URL: server.url, DATABASE_URL: database.url, COLLOQUY_PORT: "0" },
      ...{ COLLOQUY_MASTER_KEY: server.masterKey.toString("hex") },
      COLLOQUY_SECRET: server.masterKey.toString("hex"),
    });
    const positions = new Map(projectors.map(({ name }) => [name, 0]));
    let seen = 0;
    let onSeen: (sequence: number) => void = () => undefined;
    const following = followPositions(server.streams, (name, sequence) => {
      positions.set(name, Math.max(sequence, positions.get(name) ?? 0));
      const all = Math.min(...positions.values());
      if (all <= seen) return;
      seen = all;
      onSeen(all);
    });
    await following.ready;
    const log = await openLongLog(server.streams, server.vault, { seed: 1, width });
    /** Sends at the rate; resolves with each commit's time to its visibility, in ms. */
    const held = async (perSecond: number, seconds: number): Promise<number[]> => {
      const waiting: { sequence: number; sent_ms: number }[] = [];
      const lags: number[] = [];
      let next = 0;
      onSeen = (sequence) => {
        const now = performance.now();
        for (; (waiting[next]?.sequence ?? Infinity) <= sequence; next++) {
          lags.push(now - (waiting[next]?.sent_ms ?? now));
        }
      };
      const began = performance.now();
      for (let sent = 0; sent < perSecond * seconds;) {
        const due = ((performance.now() - began) * perSecond) / 1_000;
        while (sent < Math.min(due, perSecond * seconds)) {
          const sent_ms = performance.now();
          const { sequence, events } = await log.append();
          waiting.push({ sequence, sent_ms });
          sent += events;
        }
        await pause(1);
      }
      await log.settled();
      const late = performance.now() + patience_ms;
      while (next < waiting.length && performance.now() < late) await pause(10);
      if (next < waiting.length) throw new Error("the projections do not come along");
      return lags;
    };
    await held(typical, warm_s);
    for (const perSecond of rates) {
      const lags = await held(perSecond, Math.max(held_s_min, held_s * scale));
      for (const percent of [50, 95, 99]) {
        const value = percentile(lags, percent);
        const name = `lag_p${percent}_ms`;
        if (perSecond === typical) print(figure("projection-lag", name, value, "ms"));
        else
          print(figure("projection-lag", `lag_at_${perSecond}_per_s_p${percent}_ms`, value, "ms"));
      }
    }
    log.end();
    following.stop();
    await program.end();
  } finally {
    await server.stop();
    await database.stop();
  }
}
