/**
 * A client of `/ws/chat` that means no good: frames that are right, nearly right and nothing at all, in
 * any order, on a socket that is closed at any moment, read or not.
 */
import { WebSocket } from "ws";
import { clientFrames } from "../../schemas/frames.ts";
import { errors } from "../../schemas/errors.ts";
import type { Attack } from "./http.ts";
import { anything, fitting, oddText, spoiled, written } from "./shapes.ts";

const frames_max = 400;

/** Opens one socket after the other until it is over. */
export async function attackSocket(attack: Attack): Promise<void> {
  while (!attack.over()) await one(attack);
}

function one(attack: Attack): Promise<void> {
  const { random, tokens, wrong, count, known } = attack;
  return new Promise((resolve) => {
    const token = random.pick(tokens) ?? "";
    const protocols = ["colloquy.v1", `bearer.${token.replaceAll(/[^\w.-]/g, "")}`];
    const socket = new WebSocket(`${attack.url.replace("http", "ws")}/ws/chat`, protocols);
    count("sockets");
    let left = random.between(1, frames_max);
    let closed = false;
    const next = (): void => {
      if (closed) return;
      if (left-- <= 0 || attack.over()) {
        if (random.chance(0.5)) socket.close();
        else socket.terminate();
        return;
      }
      count("frames");
      socket.send(frame(attack));
      // As fast as it goes, or in turn with others.
      if (random.chance(0.5)) setImmediate(next);
      else setTimeout(next, random.between(0, 20));
    };
    socket.on("open", next);
    socket.on("message", (data: Buffer) => {
      const text = data.toString();
      known.learn(text.slice(0, 2_000));
      const code = codeOf(text);
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

function frame({ known, random }: Attack): string | Buffer {
  if (random.chance(0.002)) return Buffer.from(oddText(random));
  if (random.chance(0.03)) return oddText(random);
  if (random.chance(0.03)) return JSON.stringify(anything(random)) ?? "";
  const schema = random.pick(Object.values(clientFrames));
  if (schema === undefined) return "";
  const right = fitting(schema, known, random);
  return written(random.chance(0.8) ? right : spoiled(right, random), random);
}

function codeOf(text: string): string | null {
  const found = /"type":"(?:error|nack)".*?"code":"([^"]*)"/.exec(text);
  return found?.[1] ?? null;
}
