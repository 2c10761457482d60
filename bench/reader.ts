/**
 * Raw TCP readers in a process of their own: they speak just enough WebSocket (RFC 6455) to be let in
 * and to subscribe, and then count the headers of the frames that come. Told what to do by its parent.
 */
import { createConnection, type Socket } from "node:net";
import { randomBytes } from "node:crypto";

interface Question {
  readonly open?: number;
  readonly host: string;
  readonly port: string;
  readonly token: string;
  /** Subscribed to when it is not null. */
  readonly conversation: string | null;
  /** Where its readers stopped before. */
  readonly after?: object;
  /** All sockets at the same moment, not a hundred at a time. */
  readonly at_once?: boolean;
  /** Answer when so many frames have come. */
  readonly until?: number;
}

let frames = 0;
let opened = 0;
let delays: number[] = [];
let waiting: { readonly until: number } | null = null;
/** One socket in so many is looked into for times; all are counted. */
const sampled = 25;

function answer(): void {
  process.send?.({ frames, opened, delays });
  delays = [];
}
function look(): void {
  if (waiting === null || frames < waiting.until) return;
  waiting = null;
  answer();
}

/** A masked text frame, as clients must send. */
function textFrame(text: string): Buffer {
  const payload = Buffer.from(text);
  const mask = randomBytes(4);
  const head = Buffer.from([0x81, 0x80 | 126, payload.length >> 8, payload.length & 255]);
  return Buffer.concat([head, mask, payload.map((byte, at) => byte ^ (mask[at % 4] ?? 0))]);
}

/** Resolves when it is let in and, if it subscribes, when that was answered. */
function open(question: Question, number: number): Promise<void> {
  const { host, port, token, conversation, after } = question;
  return new Promise((resolve, reject) => {
    const socket: Socket = createConnection({ host, port: Number(port) });
    socket.setNoDelay(true);
    let rest: Buffer = Buffer.alloc(0);
    let upgraded = false;
    let counting = false;
    socket.once("error", reject);
    socket.once("connect", () => {
      const key = randomBytes(16).toString("base64");
      const auth = token === "" ? "" : `Authorization: Bearer ${token}\r\n`;
      socket.write(
        `GET /ws/chat HTTP/1.1\r\nHost: ${host}:${port}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Key: ${key}\r\nSec-WebSocket-Version: 13\r\n${auth}\r\n`,
      );
    });
    const ready = (): void => {
      counting = true;
      opened += 1;
      resolve();
    };
    socket.on("data", (chunk: Buffer) => {
      rest = rest.length === 0 ? chunk : Buffer.concat([rest, chunk]);
      if (!upgraded) {
        const end = rest.indexOf("\r\n\r\n");
        if (end === -1) return;
        upgraded = true;
        rest = rest.subarray(end + 4);
        if (conversation === null) ready();
        else {
          const id = crypto.randomUUID();
          const subscribe = { type: "subscribe", id, conversation, after };
          socket.write(textFrame(JSON.stringify(subscribe)));
        }
      }
      let at = 0;
      while (rest.length - at >= 2) {
        const opcode = (rest[at] ?? 0) & 15;
        let length = (rest[at + 1] ?? 0) & 127;
        let head = 2;
        if (length === 126) {
          if (rest.length - at < 4) break;
          length = rest.readUInt16BE(at + 2);
          head = 4;
        } else if (length === 127) {
          if (rest.length - at < 10) break;
          length = Number(rest.readBigUInt64BE(at + 2));
          head = 10;
        }
        if (rest.length - at < head + length) break;
        if (opcode === 9) socket.write(Buffer.from([0x8a, 0x80, 0, 0, 0, 0]));
        else if (counting) {
          frames += 1;
          if (number % sampled === 0) time(rest.subarray(at + head, at + head + length));
        } else if (rest.includes('"subscribed"', at)) ready();
        at += head + length;
      }
      rest = rest.subarray(at);
      look();
    });
  });
}

const at_byte = "@".charCodeAt(0);
function time(payload: Buffer): void {
  const at = payload.indexOf(at_byte);
  if (at !== -1) delays.push(Date.now() - Number(payload.toString("latin1", at + 1, at + 14)));
}

process.on("message", (question: Question) => {
  if (question.until !== undefined) {
    waiting = { until: question.until };
    look();
    return;
  }
  const openAll = async (): Promise<void> => {
    const count = question.open ?? 0;
    const step = question.at_once === true ? Math.max(1, count) : 100;
    for (let from = 0; from < count; from += step) {
      const some = Array.from({ length: Math.min(step, count - from) }, (_, n) =>
        open(question, from + n),
      );
      await Promise.all(some);
    }
    answer();
  };
  void openAll();
});
process.stdout.write("reading\n");
