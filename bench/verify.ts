/**
 * `verify`: events per second that `colloquy events verify` proves, as an operator runs it, beside what
 * reading the same log costs that nobody looks at.
 */
import { figure, type Print } from "./figures.ts";
import { startLogServer } from "./log-server.ts";
import { writeLongLog } from "./long-log.ts";
import { run } from "./processes.ts";
import { replay } from "./replay.ts";

const events_at_scale_1 = 1_000_000;

export async function verify(print: Print, scale: number): Promise<void> {
  const server = await startLogServer("default");
  try {
    const events = Math.max(1_000, Math.round(events_at_scale_1 * scale));
    const written = await writeLongLog(server.streams, server.vault, { events, seed: 1 });
    const commits_per_s = await replay(server.streams);
    const replayed = (commits_per_s * written.events) / written.commits;
    const began = performance.now();
    const key = server.masterKey.toString("hex");
    const program = await run(["cli/main.ts", "events", "verify", "--json"], /^(\{.*\})$/, {
      ...{ NATS_URL: server.url, COLLOQUY_MASTER_KEY: key, COLLOQUY_SECRET: key },
    });
    const whole_ms = performance.now() - began;
    // The command's own words.
    const said = JSON.parse(program.said[1] ?? "") as { events_per_s: number; whole: boolean };
    if (!said.whole) throw new Error(`the log does not verify: ${program.said[1]}`);
    await program.gone;
    print(figure("verify", "events_per_s", said.events_per_s, "1/s", replayed));
    // With the start of the process and its questions to whoever else remembers the log.
    print(figure("verify", "command_ms", whole_ms, "ms"));
  } finally {
    await server.stop();
  }
}
