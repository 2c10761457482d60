/**
 * Many readers of one conversation in a process of their own, so that what they read is not parsed by
 * the process that serves them. Each judges what it is sent as it comes, and all must be told the
 * same; nothing of it is kept but one copy of the story. Told what to do by its parent (crowd.ts).
 */
import { hash } from "node:crypto";
import { WebSocket } from "ws"; // typed by ws-client.d.ts
import type { PushFrame } from "../../gateway/live/cursor.ts";
import { systemIds } from "../../schemas/ids.ts";
import type { CaughtUp, Question } from "./crowd.ts";
import { Transcript } from "./transcript.ts";

interface Reader {
  readonly socket: WebSocket;
  readonly transcript: Transcript;
  /** How much of the story it was told. */
  told: number;
}

const readers: Reader[] = [];
/** What the first that came so far was told: every event and end, as it was sent. */
const story: string[] = [];
const wrong: string[] = [];
/** How much of the story all wait for, and when each came to it. */
let target = Infinity;
const came_ms: number[] = [];
let resumed_ms = 0;

function judge(reader: Reader, frame: PushFrame): void {
  const { transcript } = reader;
  try {
    transcript.take(frame);
  } catch (error) {
    wrong.push(`after ${reader.told} of the story: ${String(error).slice(0, 300)}`);
  }
  for (const one of transcript.story.splice(0)) {
    const first = (story[reader.told] ??= one);
    if (first !== one) wrong.push(`${one.slice(0, 200)} in place of ${first.slice(0, 200)}`);
    reader.told++;
    if (reader.told === target) came_ms.push(performance.now() - resumed_ms);
    if (reader.told > target) wrong.push(`more than was to be told: ${one.slice(0, 200)}`);
  }
  look();
}

function open({ url, token, conversation }: Extract<Question, { do: "open" }>): Promise<void> {
  const protocols = ["colloquy.v1", `bearer.${token}`];
  const socket = new WebSocket(`${url.replace("http", "ws")}/ws/chat`, protocols);
  const reader: Reader = { socket, transcript: new Transcript(), told: 0 };
  readers.push(reader);
  const send = (frame: object): void => socket.send(JSON.stringify(frame));
  return new Promise((resolve, reject) => {
    socket.on("close", (code) => {
      wrong.push(`closed with ${code}`);
      reject(new Error(`closed with ${code}`));
      look();
    });
    socket.on("error", reject);
    socket.on("message", (data: Uint8Array) => {
      // What the server writes is what is judged here.
      const frame = JSON.parse(Buffer.from(data).toString()) as PushFrame | { type: string };
      if (frame.type === "ready") send({ type: "subscribe", id: systemIds(), conversation });
      else if (frame.type === "subscribed") resolve();
      else if (frame.type !== "pong") {
        judge(reader, frame as PushFrame);
        // Whoever reads also says something now and then.
        if (frame.type === "event" && reader.told % 4 === 0) send({ type: "ping" });
      }
    });
  });
}

/** Answers when all have come, or something was wrong. */
function look(): void {
  if (target === Infinity || (came_ms.length < readers.length && wrong.length === 0)) return;
  target = Infinity;
  const answer: CaughtUp = {
    times_ms: came_ms.toSorted((a, b) => a - b),
    story: hash("sha256", story.join("\n")),
    wrong: wrong.slice(0, 20),
  };
  process.send?.(answer);
}

async function answer(question: Question): Promise<void> {
  switch (question.do) {
    case "open":
      for (let n = 0; n < question.sockets; n++) await open(question);
      break;
    case "pause":
      for (const { socket } of readers) socket.pause();
      break;
    case "resume":
      resumed_ms = performance.now();
      for (const { socket } of readers) socket.resume();
      break;
    case "until":
      target = question.told;
      for (const { told } of readers) {
        if (told >= target) came_ms.push(performance.now() - resumed_ms);
      }
      return look();
  }
  process.send?.({});
}
// A failure ends this process, which its parent hears.
process.on("message", (question: Question) => void answer(question));
process.on("disconnect", () => process.exit(0));
