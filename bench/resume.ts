/**
 * `resume`: what it takes to come back. One reader after the other asks for the second half of an
 * answer that is being written; then thousands of sockets come back in the same moment, each in the
 * middle of that answer, as they do when a gateway was replaced.
 */
import { WebSocket } from "ws";
import { connectStreams } from "../streams/connection.ts";
import { asker, beginTurn, openLane, type RunningTurn } from "./fanout.ts";
import { figure, median, percentile, type Print } from "./figures.ts";
import { provider, run, serve } from "./processes.ts";

/** Frames of the answer: 8 s of it at 50 a second. */
const frames = 400;

export async function resume(print: Print, scale: number): Promise<void> {
  // The provider never answers: its first token is an hour away, and we say the frames.
  const model = await provider(1, 3_600_000);
  const served = await serve("default", { OPENAI_BASE_URL: model.url });
  const streams = await connectStreams({ url: served.natsUrl, name: "bench" });
  try {
    const token = await served.token();
    const turn = await beginTurn(served.url, token);
    openLane(streams, turn).publish(frames);
    await streams.nc.flush();
    const half = (seq: number): object => ({
      ...{ revision: turn.revision, turn: turn.turn, attempt: 1, seq },
    });

    const reader = await openReader(served.url, token, turn);
    await reader.from(half(0));
    const times: number[] = [];
    for (let n = 0; n < Math.max(5, Math.round(500 * scale)); n++) {
      const began = performance.now();
      await reader.from(half(frames / 2));
      times.push(performance.now() - began);
    }
    reader.close();
    for (const percent of [50, 99]) {
      const name = `half_stream_p${percent}_ms`;
      print(figure("resume", name, percentile(times, percent), "ms"));
    }

    const { hostname, port } = new URL(served.url);
    const rounds: number[] = [];
    for (let round = 0; round < 3; round++) {
      const crowd = await run(["bench/reader.ts"], /^reading$/);
      const began = performance.now();
      await asker(crowd)({
        ...{ open: Math.max(10, Math.round(10_000 * scale)), at_once: true },
        ...{ host: hostname, port, token, conversation: turn.conversation },
        after: half(frames / 2),
      });
      rounds.push((performance.now() - began) / 1_000);
      await crowd.end();
    }
    print(figure("resume", "storm_s", median(rounds), "s"));
  } finally {
    await streams.close();
    await served.end();
    await model.end();
  }
}

interface Frame {
  readonly type: string;
  readonly seq?: number;
}

/** One socket that subscribes again and again. */
function openReader(url: string, token: string, { conversation }: RunningTurn) {
  const socket = new WebSocket(`${url.replace("http", "ws")}/ws/chat`, {
    headers: { authorization: `Bearer ${token}` },
  });
  let reached = (): void => undefined;
  const say = (frame: object): void => {
    socket.send(JSON.stringify({ id: crypto.randomUUID(), conversation, ...frame }));
  };
  socket.on("message", (data: Buffer) => {
    const frame = JSON.parse(data.toString()) as Frame; // our own gateway's
    if (frame.type === "token" && frame.seq === frames) reached();
  });
  const reader = {
    /** Resolves when the answer's last frame has come. */
    async from(after: object): Promise<void> {
      const whole = new Promise<void>((resolve) => (reached = resolve));
      say({ type: "subscribe", after });
      await whole;
      say({ type: "unsubscribe" });
    },
    close: () => socket.close(),
  };
  return new Promise<typeof reader>((resolve, reject) => {
    socket.once("error", reject);
    socket.once("open", () => resolve(reader));
  });
}
