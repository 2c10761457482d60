/**
 * Another device of the same user, by the protocol's words alone: it opens a socket, says one
 * command, and takes the answer or goes away without it.
 */
import { WebSocket } from "ws"; // typed by test/gateway/ws-client.d.ts
import type { ServerFrame } from "../../schemas/frames.ts";
import type { Answer } from "./ledger.ts";

/** What a socket needs. */
export interface Door {
  readonly url: string;
  readonly token: string;
}

/**
 * Says a command once. `stay: false` ends the socket in the moment in which it was said. Null when
 * the socket ended before the answer.
 */
export function sayOnce(
  { url, token }: Door,
  frame: { readonly id: string },
  { stay }: { stay: boolean },
): Promise<Answer | null> {
  const socket = new WebSocket(`${url.replace("http", "ws")}/ws/chat`, {
    headers: { authorization: `Bearer ${token}` },
  });
  return new Promise((resolve) => {
    const over = (answer: Answer | null): void => {
      resolve(answer);
      socket.terminate();
    };
    socket.on("error", () => undefined); // `close` follows
    socket.on("close", () => resolve(null));
    socket.on("message", (data: Uint8Array) => {
      // What our own server writes.
      const said = JSON.parse(Buffer.from(data).toString()) as ServerFrame;
      if (said.type === "ready") {
        socket.send(JSON.stringify(frame));
        if (!stay) over(null);
      } else if (said.type === "ack" && said.id === frame.id) {
        over({ ok: true, revision: said.revision, seq: said.seq });
      } else if (said.type === "nack" && said.id === frame.id) {
        over({ ok: false, code: said.error.code });
      }
    });
  });
}
