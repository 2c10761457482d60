/** A client of `/chat/stream/{id}`, which knows only its `token` and `end` frames. */
import { WebSocket } from "ws"; // typed by ws-client.d.ts
import type { EndFrame, TokenOut } from "../../schemas/frames.ts";
import { pulse } from "../support/pulse.ts";

export type ChatFrame = TokenOut | EndFrame | { readonly type: "error"; readonly code: string };

export function openChatStream(url: string, path: string, token: string) {
  const socket = new WebSocket(`${url.replace("http", "ws")}${path}`, [
    "colloquy.v1",
    `bearer.${token}`,
  ]);
  const frames: ChatFrame[] = [];
  const news = pulse();
  socket.on("message", (data: Uint8Array) => {
    frames.push(JSON.parse(Buffer.from(data).toString()) as ChatFrame); // what the server writes
    news.beat();
  });
  const closed = new Promise<number>((resolve) => socket.on("close", resolve));
  const seqs = (): number[] => frames.flatMap((one) => (one.type === "token" ? [one.seq] : []));
  return { socket, frames, closed, seqs, until: news.until };
}
