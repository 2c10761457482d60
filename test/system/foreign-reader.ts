/**
 * A reader of one conversation by the protocol's words alone: a plain socket and a cursor of its own,
 * none of our client's code. It is cut at random and comes back with its cursor. Nothing it is told
 * may repeat or skip, so each frame is compared with the cursor before it moves.
 */
import { WebSocket } from "ws"; // typed by test/gateway/ws-client.d.ts
import type { ServerFrame } from "../../schemas/frames.ts";
import { systemIds } from "../../schemas/ids.ts";

export interface ForeignReader {
  /** Joined token contents of each turn's highest attempt, in the order of the turns. */
  readonly texts: ReadonlyMap<string, string>;
  readonly wrong: readonly string[];
  readonly cuts: number;
  /** Resolves when so many turns have ended. */
  ended(count: number): Promise<void>;
  close(): void;
}

export function foreignReader(options: {
  url: string;
  token: string;
  conversation: string;
  roll: () => number;
}): ForeignReader {
  const { url, token, conversation, roll } = options;
  const wrong: string[] = [];
  const texts = new Map<string, string>();
  let revision = 0;
  let place: { turn: string; attempt: number; seq: number } | null = null;
  let ends = 0;
  /** Turns whose ending event came and whose `end` did not: a cursor by revision cannot say that. */
  const owed = new Set<string>();
  const happened = new Map<string, string[]>();
  let cuts = 0;
  let over = false;
  let socket: WebSocket;
  const waiting = new Set<() => void>();

  function take(frame: ServerFrame): void {
    if (frame.type === "event") {
      if (frame.revision !== revision + 1) wrong.push(`event ${frame.revision} after ${revision}`);
      revision = frame.revision;
      const { type, turn, attempt } = frame.event;
      const story = happened.get(String(turn)) ?? [];
      happened.set(String(turn), [...story, `${frame.revision} ${type} (socket ${cuts})`]);
      if (type === "turn.started" || type === "turn.restarted") {
        place = { turn: String(turn), attempt: Number(attempt), seq: 0 };
        texts.set(place.turn, "");
      }
      if (type === "turn.completed") {
        owed.add(String(turn));
        if (texts.get(String(turn)) !== frame.event["text"]) wrong.push(`text of ${String(turn)}`);
        place = null;
      }
    } else if (frame.type === "token") {
      const first = frame.from ?? frame.seq;
      if (place === null || place.turn !== frame.turn || place.attempt !== frame.attempt) {
        return void wrong.push(`a token of ${frame.turn} ${frame.attempt}`);
      }
      if (first !== place.seq + 1) wrong.push(`frame ${first} after ${place.seq}`);
      place = { ...place, seq: frame.seq };
      texts.set(frame.turn, (texts.get(frame.turn) ?? "") + frame.content);
    } else if (frame.type === "end") {
      const story = happened.get(frame.turn) ?? [];
      if (!owed.delete(frame.turn)) {
        wrong.push(`end of ${frame.turn} on socket ${cuts} behind ${story.join(", ")}`);
      }
      happened.set(frame.turn, [...story, `end (socket ${cuts})`]);
      ends += 1;
    } else if (frame.type === "nack" || frame.type === "error") {
      wrong.push(JSON.stringify(frame));
    }
  }

  function open(): void {
    let left = 2 + Math.floor(roll() * 25);
    const here = new WebSocket(`${url.replace("http", "ws")}/ws/chat`, {
      headers: { authorization: `Bearer ${token}` },
    });
    socket = here;
    here.on("error", () => undefined); // `close` follows
    here.on("message", (data: Uint8Array) => {
      if (here !== socket || over) return;
      // What our own server writes.
      const frame = JSON.parse(Buffer.from(data).toString()) as ServerFrame;
      if (frame.type === "ready") {
        const after = place === null ? { revision } : { revision, ...place };
        const ask = { type: "subscribe", id: systemIds(), conversation };
        here.send(JSON.stringify(revision === 0 ? ask : { ...ask, after }));
        return;
      }
      take(frame);
      for (const look of [...waiting]) look();
      left -= 1;
      // Not between an ending and its `end`: only the whole pair can be named by a cursor.
      if (left > 0 || owed.size > 0) return;
      cuts += 1;
      here.terminate();
      open();
    });
    here.on("close", (code) => {
      if (here === socket && !over) wrong.push(`closed by the server with ${code}`);
    });
  }
  open();
  return {
    texts,
    wrong,
    get cuts() {
      return cuts;
    },
    ended: (count) =>
      new Promise((resolve) => {
        const look = (): void => {
          if (ends < count && wrong.length === 0) return;
          waiting.delete(look);
          resolve();
        };
        waiting.add(look);
        look();
      }),
    close() {
      over = true;
      socket.terminate();
    },
  };
}
