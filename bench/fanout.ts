/**
 * `fanout`: one conversation to many sockets. A real turn waits for its model; the frames are
 * published on its lane from here, so their pace is ours. The reader is a process of raw TCP that
 * counts frames, since WebSocket clients are slower than the server. Beside it, in the same run, a
 * bare uWebSockets.js server that publishes the same bytes to as many sockets.
 */
import { connectStreams, type Streams } from "../streams/connection.ts";
import { tokenSubject } from "../schemas/subjects.ts";
import { figure, median, percentile, type Print } from "./figures.ts";
import { type Program, provider, residentBytes, run, serve } from "./processes.ts";
import { openChatter } from "./chatter.ts";

/** What the reader process tells. */
interface Told {
  readonly frames: number;
  readonly opened: number;
  /** Delays of the frames that carried a time, in ms; since the last time that it was asked. */
  readonly delays: readonly number[];
}

const burst = 20;

export async function fanout(print: Print, scale: number, sockets: number): Promise<void> {
  const limit = await bareServer(sockets, scale);
  // The provider never answers: its first token is an hour away.
  const model = await provider(1, 3_600_000);
  const served = await serve("default", { OPENAI_BASE_URL: model.url });
  const streams = await connectStreams({ url: served.natsUrl, name: "bench" });
  try {
    const token = await served.token();
    const { hostname, port } = new URL(served.url);
    // First of all, while nothing has been freed that the sockets could be put into.
    const idle = Math.round(10_000 * scale);
    const crowd = await run(["bench/reader.ts"], /^reading$/);
    const rss = residentBytes(served.pid);
    await asker(crowd)({ open: idle, host: hostname, port, token, conversation: null });
    print(figure("fanout", "bytes_per_socket", (residentBytes(served.pid) - rss) / idle, "B"));
    await crowd.end();

    const turn = await beginTurn(served.url, token);
    const lane = openLane(streams, turn);
    const reader = await run(["bench/reader.ts"], /^reading$/);
    const ask = asker(reader);
    const before = await ask({
      open: sockets,
      host: hostname,
      port,
      token,
      conversation: turn.conversation,
    });
    let expected = before.frames;

    const pace_ms = 20;
    const frames = Math.round(500 * scale);
    for (let n = 0; n < frames; n++) {
      lane.publish(1);
      expected += sockets;
      await new Promise((resolve) => setTimeout(resolve, pace_ms));
    }
    const { delays } = await ask({ until: expected });
    print(figure("fanout", "delivery_p50_ms", percentile(delays, 50), "ms"));
    print(figure("fanout", "delivery_p99_ms", percentile(delays, 99), "ms"));

    const rounds: number[] = [];
    for (let round = 0; round < 3; round++) {
      const bursts = Math.round(100 * scale);
      const began = performance.now();
      for (let n = 0; n < bursts; n++) {
        lane.publish(burst);
        expected += sockets * burst;
        // One burst ahead of the slowest reader, as a socket's own buffer would allow.
        if (n % 2 === 1) await ask({ until: expected });
      }
      await ask({ until: expected });
      rounds.push((bursts * burst * sockets * 1_000) / (performance.now() - began));
    }
    print(figure("fanout", "deliveries_per_s", median(rounds), "1/s", limit));
    await reader.end();
  } finally {
    await streams.close();
    await served.end();
    await model.end();
  }
}

/** A turn that runs; what is said in it is said from here. */
export interface RunningTurn {
  readonly conversation: string;
  readonly turn: string;
  /** The last event so far: that it began. */
  readonly revision: number;
}

/** A turn that runs and says nothing. */
export async function beginTurn(url: string, token: string): Promise<RunningTurn> {
  const chatter = await openChatter(url, token);
  const conversation = crypto.randomUUID();
  const headers = { authorization: `Bearer ${token}`, "content-type": "application/json" };
  const path = `${url}/api/v1/conversations/${conversation}`;
  await fetch(`${path}/messages`, {
    method: "POST",
    headers,
    body: JSON.stringify({ text: "wait" }),
  });
  const response = await fetch(path, { headers });
  // Our own gateway's.
  const { turn, revision } = (await response.json()) as { turn: string; revision: number };
  chatter.close();
  return { conversation, turn, revision };
}

/** Frames on the lane of the running turn, each with the time at which it was made. */
export function openLane(streams: Streams, { conversation, turn }: RunningTurn) {
  const subject = tokenSubject({ tenant: "main", kind: "conversation", id: conversation });
  let seq = 0;
  return {
    publish(count: number): void {
      for (let n = 0; n < count; n++) {
        const d = `@${Date.now()} a token of an answer `;
        streams.nc.publish(subject, JSON.stringify({ t: turn, a: 1, s: ++seq, d }));
      }
    },
  };
}

/** Asks a reader process, one question at a time. */
export function asker(reader: Program): (question: object) => Promise<Told> {
  return (question) =>
    new Promise((resolve) => {
      reader.child.once("message", (told) => resolve(told as Told)); // bench/reader.ts
      reader.child.send(question);
    });
}

/** What uWebSockets.js delivers by itself, to as many sockets, with the same bytes. */
async function bareServer(sockets: number, scale: number): Promise<number> {
  const server = await run(["bench/bare-server.ts"], /^listening (\d+)$/);
  const reader = await run(["bench/reader.ts"], /^reading$/);
  try {
    const ask = asker(reader);
    const port = server.said[1] ?? "";
    const before = await ask({
      open: sockets,
      host: "127.0.0.1",
      port,
      token: "",
      conversation: null,
    });
    let expected = before.frames;
    const rounds: number[] = [];
    for (let round = 0; round < 3; round++) {
      const bursts = Math.round(100 * scale);
      const began = performance.now();
      for (let n = 0; n < bursts; n++) {
        server.child.send({ publish: burst });
        expected += sockets * burst;
        if (n % 2 === 1) await ask({ until: expected });
      }
      await ask({ until: expected });
      rounds.push((bursts * burst * sockets * 1_000) / (performance.now() - began));
    }
    return median(rounds);
  } finally {
    await reader.end();
    await server.end();
  }
}
