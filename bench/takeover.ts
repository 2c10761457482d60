/**
 * `takeover`: how long somebody who reads an answer waits when the worker that writes it is killed:
 * from `kill -9` to the first token of the next attempt at their socket. Two workers, one gateway;
 * the killed one is replaced before the next round.
 */
import { WebSocket } from "ws";
import { systemIds } from "../schemas/ids.ts";
import { figure, median, type Print } from "./figures.ts";
import { install, settled, type Worker } from "./installation.ts";
import { provider } from "./processes.ts";

const kills = 20;
/** As a quick model writes: an answer of half a minute. */
const token_ms = 20;
const tokens = 1_500;
/** An answer that did not go on after this is lost. */
const late_ms = 30_000;

interface Frame {
  readonly type: string;
  readonly conversation?: string;
  readonly attempt?: number;
  readonly event?: { readonly type: string; readonly owner?: string };
}

export async function takeover(print: Print, scale: number): Promise<void> {
  const model = await provider(tokens, token_ms);
  const installation = await install("always", { OPENAI_BASE_URL: model.url });
  try {
    const workers = new Map<string, Worker>();
    const join = async (): Promise<void> => {
      const worker = await installation.worker();
      workers.set(worker.id, worker);
    };
    await join();
    await join();
    const gateway = await installation.gateway();
    const reader = await openReader(gateway.url, await gateway.token());
    await settled();

    const waits: number[] = [];
    const rounds = Math.max(1, Math.round(kills * scale));
    while (waits.length < rounds) {
      const reading = reader.answer();
      const owner = await reading.writing;
      const worker = workers.get(owner);
      if (worker === undefined) throw new Error(`nobody knows the worker ${owner}`);
      workers.delete(owner);
      const began = performance.now();
      worker.child.kill("SIGKILL");
      await reading.goesOn;
      waits.push(performance.now() - began);
      reading.end();
      if (waits.length === rounds) break;
      await worker.gone;
      await join();
      await settled();
    }
    print(figure("takeover", "next_token_p50_ms", median(waits), "ms"));
    print(figure("takeover", "next_token_max_ms", Math.max(...waits), "ms"));
    reader.close();
  } finally {
    await installation.end();
    await model.end();
  }
}

/** An answer that is being read. */
interface Reading {
  /** The worker that writes it, once some of it is here. */
  readonly writing: Promise<string>;
  /** When the first token of its second attempt is here. */
  readonly goesOn: Promise<void>;
  end(): void;
}

/** Somebody at a socket who reads one answer at a time. */
function openReader(url: string, token: string): Promise<{ answer(): Reading; close(): void }> {
  const socket = new WebSocket(`${url.replace("http", "ws")}/ws/chat`, {
    headers: { authorization: `Bearer ${token}` },
  });
  let read = (_frame: Frame): void => undefined;
  const answer = (): Reading => {
    const conversation = systemIds();
    const ask = (type: string, more: object): void =>
      socket.send(JSON.stringify({ type, id: systemIds(), conversation, ...more }));
    let owner = "";
    let seen = 0;
    let onWriting: (owner: string) => void = () => undefined;
    let onGoesOn = (): void => undefined;
    const writing = new Promise<string>((resolve) => (onWriting = resolve));
    const goesOn = new Promise<void>((resolve) => (onGoesOn = resolve));
    read = (frame) => {
      if (frame.conversation !== conversation) return;
      if (frame.event?.type === "turn.started") owner = frame.event.owner ?? "";
      if (frame.type !== "token") return;
      if (frame.attempt === 1 && ++seen === 20) onWriting(owner);
      if (frame.attempt === 2) onGoesOn();
    };
    ask("send", { text: "Tell me a long story" });
    return {
      writing: inTime(writing),
      goesOn: inTime(goesOn),
      end() {
        ask("cancel", {});
        ask("unsubscribe", {});
      },
    };
  };
  return new Promise((resolve, reject) => {
    socket.once("error", reject);
    socket.on("message", (data: Buffer) => {
      const frame = JSON.parse(data.toString()) as Frame; // our own gateway's
      if (frame.type === "ready") resolve({ answer, close: () => socket.close() });
      read(frame);
    });
  });
}

async function inTime<T>(promise: Promise<T>): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_resolve, reject) => {
    timer = setTimeout(() => reject(new Error("an answer did not go on")), late_ms);
  });
  return Promise.race([promise, late]).finally(() => clearTimeout(timer));
}
