/** Clients that hold conversations over one WebSocket each, as many turns at once as there are of them. */
import { WebSocket } from "ws";

export interface Turn {
  /** From `send` to the first token. */
  readonly first_ms: number;
  /** From `send` to `end`. */
  readonly total_ms: number;
  readonly tokens: number;
}

export interface Chatter {
  /** One turn in a conversation of its own. */
  turn(text: string): Promise<Turn>;
  close(): void;
}

interface Frame {
  readonly type: string;
  readonly conversation?: string;
  readonly error?: { readonly code: string };
}

/** Opens one socket; many turns may run on it at once. */
export function openChatter(url: string, token: string): Promise<Chatter> {
  const socket = new WebSocket(`${url.replace("http", "ws")}/ws/chat`, {
    headers: { authorization: `Bearer ${token}` },
  });
  const turns = new Map<string, (frame: Frame) => void>();
  const byCommand = new Map<string, string>();
  return new Promise((resolve, reject) => {
    socket.once("error", reject);
    socket.on("message", (data: Buffer) => {
      const frame = JSON.parse(data.toString()) as Frame & { id?: string }; // our own gateway's
      if (frame.type === "ready") resolve(chatter);
      const conversation = frame.conversation ?? byCommand.get(frame.id ?? "");
      if (conversation !== undefined) turns.get(conversation)?.(frame);
    });
    const chatter: Chatter = {
      turn: (text) =>
        new Promise((done, failed) => {
          const conversation = crypto.randomUUID();
          const id = crypto.randomUUID();
          const began = performance.now();
          let first_ms = 0;
          let tokens = 0;
          const over = (): void => {
            turns.delete(conversation);
            byCommand.delete(id);
            const unsubscribe = { type: "unsubscribe", id: crypto.randomUUID(), conversation };
            socket.send(JSON.stringify(unsubscribe));
          };
          byCommand.set(id, conversation);
          turns.set(conversation, (frame) => {
            if (frame.type === "token") {
              if (tokens === 0) first_ms = performance.now() - began;
              tokens += 1;
            } else if (frame.type === "end") {
              over();
              done({ first_ms, total_ms: performance.now() - began, tokens });
            } else if (frame.type === "nack") {
              over();
              failed(new Error(frame.error?.code));
            }
          });
          socket.send(JSON.stringify({ type: "send", id, conversation, text }));
        }),
      close: () => socket.close(),
    };
  });
}
