/**
 * A client of `/ws/chat` that means no good: frames that are right, nearly right and nothing at all, in
 * any order, on a socket that is closed at any moment, read or not.
 */
import { WebSocket } from "ws";
import { clientFrames, isClientFrameType } from "../../schemas/frames.ts";
import { parseJson } from "../../schemas/validate.ts";
import { errors } from "../../schemas/errors.ts";
import type { Attack } from "./http.ts";
import { anything, fitting, oddText, type Speaker, spoiled, written } from "./shapes.ts";

const frames_max = 200;
/** Frames that answer one of ours. */
const answers: ReadonlySet<unknown> = new Set(["ack", "subscribed", "watched", "pong"]);

/** Opens one socket after the other until it is over. */
export async function attackSocket(attack: Attack): Promise<void> {
  while (!attack.over()) await one(attack);
}

function one(attack: Attack): Promise<void> {
  const { random, tokens, wrong, tally, known } = attack;
  return new Promise((resolve) => {
    const who = random.pick(random.chance(0.9) ? tokens : attack.spoiltTokens) ?? "";
    const speaker = { who, known, random };
    const protocols = ["colloquy.v1", `bearer.${who.replaceAll(/[^\w.-]/g, "")}`];
    const socket = new WebSocket(`${attack.url.replace("http", "ws")}/ws/chat`, protocols);
    tally.count("sockets");
    let left = random.between(1, frames_max);
    let closed = false;
    // One of eight floods; the others leave time to what they began.
    const wait_ms = random.chance(0.12) ? 0 : random.pick([5, 50, 250]);
    /** What was asked on this socket: frame types by id. */
    const asked = new Map<string, string>();
    const next = (): void => {
      if (closed) return;
      if (left-- <= 0 || attack.over()) {
        if (random.chance(0.5)) socket.close();
        else socket.terminate();
        return;
      }
      const sent = frame({ ...speaker, within: "" });
      const { type, id } = typeOf(sent);
      tally.framed(type, null);
      if (id !== null) asked.set(id, type);
      socket.send(sent);
      if (wait_ms === 0) setImmediate(next);
      else setTimeout(next, random.between(0, 2 * (wait_ms ?? 5)));
    };
    socket.on("open", () => {
      next();
      // Some stop reading, for a while or for good.
      if (random.chance(0.1)) {
        socket.pause();
        setTimeout(() => socket.resume(), random.between(100, 10_000));
      }
    });
    socket.on("message", (data: Buffer) => {
      const text = data.toString();
      known.learn(who, "", text);
      const code = codeOf(text);
      const { type, id } = typeOf(text);
      const question = type === "pong" ? "ping" : id === null ? undefined : asked.get(id);
      if (question !== undefined) tally.framed(question, code ?? type);
      if (code === "internal") wrong(`a frame was answered with ${text.slice(0, 300)}`);
      else if (code !== null && !Object.hasOwn(errors, code)) wrong(`unknown code ${code}`);
    });
    socket.on("error", () => undefined);
    socket.on("close", (code) => {
      closed = true;
      if (code === 1011) wrong("a socket was closed with 1011");
      resolve();
    });
  });
}

function frame(speaker: Speaker): string | Buffer {
  const { random } = speaker;
  if (random.chance(0.002)) return Buffer.from(oddText(random));
  if (random.chance(0.03)) return oddText(random);
  if (random.chance(0.03)) return JSON.stringify(anything(random)) ?? "";
  const schema = random.pick(Object.values(clientFrames));
  if (schema === undefined) return "";
  const right = fitting(schema, speaker);
  return written(random.chance(0.8) ? right : spoiled(right, random), random);
}

/** The type and the id of a frame's text, as far as it has them. */
function typeOf(frame: string | Buffer): { type: string; id: string | null } {
  const value: unknown = parseJson(frame.toString());
  const type = typeof value === "object" && value !== null && "type" in value ? value.type : null;
  const id = typeof value === "object" && value !== null && "id" in value ? value.id : null;
  return {
    type: isClientFrameType(type) || answers.has(type) ? String(type) : "(odd)",
    id: typeof id === "string" ? id : null,
  };
}

function codeOf(text: string): string | null {
  const found = /"type":"(?:error|nack)".*?"code":"([^"]*)"/.exec(text);
  return found?.[1] ?? null;
}
