/** A client that knows nothing of ours: the `ws` package and the protocol's words. */
import { WebSocket } from "ws"; // typed by ws-client.d.ts
import type { ServerFrame } from "../../schemas/frames.ts";
import { systemIds } from "../../schemas/ids.ts";

type OfType<T extends ServerFrame["type"]> = Extract<ServerFrame, { type: T }>;

/** Any frame, right or wrong, to which an id is added when it has none. */
interface Asked extends Readonly<Record<string, unknown>> {
  readonly id?: string;
}

export interface Foreign {
  readonly socket: WebSocket;
  /** Every frame, as it came. */
  readonly frames: readonly ServerFrame[];
  readonly closed: Promise<{ code: number; reason: string }>;
  send(frame: object): void;
  /** Sends a frame with a new id and gives the `ack`, `nack` or other frame that names it. */
  ask(frame: Asked): Promise<ServerFrame & { id: string }>;
  /** The first frame that fits and was not given before, now or later; fails when it closes. */
  next<T extends ServerFrame["type"]>(type: T): Promise<OfType<T>>;
  next(fits: (frame: ServerFrame) => boolean): Promise<ServerFrame>;
  /** Resolves when the frames so far hold. */
  until(holds: (frames: readonly ServerFrame[]) => boolean): Promise<void>;
  /** The frames of one turn's attempt joined; throws when one is missing or twice. */
  text(turn: string, attempt?: number, after?: number): string;
  /** Revisions as they were told. */
  revisions(conversation: string): number[];
  end(): void;
}

export function openForeign(url: string, token: string): Foreign {
  const socket = new WebSocket(`${url.replace("http", "ws")}/ws/chat`, [
    "colloquy.v1",
    `bearer.${token}`,
  ]);
  const frames: ServerFrame[] = [];
  const given = new Set<ServerFrame>();
  const waiting = new Set<{ look: () => void; fail: (error: Error) => void }>();
  let gone: string | null = null;
  socket.on("message", (data: Uint8Array) => {
    // What the server writes is what the tests look at.
    frames.push(JSON.parse(Buffer.from(data).toString()) as ServerFrame);
    for (const { look } of [...waiting]) look();
  });
  const closed = new Promise<{ code: number; reason: string }>((resolve) => {
    const over = (code: number, reason: string): void => {
      gone = `closed with ${code} ${reason}; the last frame was ${JSON.stringify(frames.at(-1))}`;
      for (const { fail } of [...waiting]) fail(new Error(gone));
      resolve({ code, reason });
    };
    socket.on("close", (code, reason) => over(code, Buffer.from(reason).toString()));
  });
  socket.on("error", () => undefined); // `close` follows
  const until = (holds: () => boolean): Promise<void> =>
    new Promise((resolve, reject) => {
      const entry = {
        look(): void {
          if (!holds()) return;
          waiting.delete(entry);
          resolve();
        },
        fail: reject,
      };
      waiting.add(entry);
      entry.look();
      if (gone !== null) reject(new Error(gone));
    });
  const next = async (wish: string | ((frame: ServerFrame) => boolean)): Promise<ServerFrame> => {
    const fits = typeof wish === "string" ? (frame: ServerFrame) => frame.type === wish : wish;
    const find = (): ServerFrame | undefined =>
      frames.find((frame) => !given.has(frame) && fits(frame));
    await until(() => find() !== undefined);
    const found = find();
    if (found === undefined) throw new Error("it was there a moment ago");
    given.add(found);
    return found;
  };
  const send = (frame: object): void => socket.send(JSON.stringify(frame));
  return {
    ...{ socket, frames, closed, send },
    async ask(frame) {
      const id = frame.id ?? systemIds();
      send({ ...frame, id });
      const answer = await next((one) => "id" in one && one.id === id);
      return { ...answer, id };
    },
    next,
    until: (holds) => until(() => holds(frames)),
    text(turn, attempt = 1, after = 0) {
      let seq = after;
      let text = "";
      for (const frame of frames) {
        if (frame.type !== "token" || frame.turn !== turn || frame.attempt !== attempt) continue;
        if ((frame.from ?? frame.seq) !== seq + 1) {
          throw new Error(`frame ${frame.from ?? frame.seq} after ${seq}`);
        }
        seq = frame.seq;
        text += frame.content;
      }
      return text;
    },
    revisions: (conversation) =>
      frames.flatMap((frame) =>
        frame.type === "event" && frame.conversation === conversation ? [frame.revision] : [],
      ),
    end: () => socket.terminate(),
  };
}
