/**
 * A client over HTTP that means no good: every operation of the table, nearly right, with all sorts of
 * credentials and headers, some requests left in the middle. What it may be answered is checked at once.
 */
import { request, Agent, type OutgoingHttpHeaders } from "node:http";
import type { Operation } from "../../gateway/http/operation.ts";
import { errors } from "../../schemas/errors.ts";
import type { Random } from "../simulation/random.ts";
import { fitting, type Known, oddText, spoiled, written } from "./shapes.ts";

export interface Attack {
  readonly url: string;
  readonly random: Random;
  readonly known: Known;
  /** Tokens of several tenants and users, some of them no good. */
  readonly tokens: readonly string[];
  readonly over: () => boolean;
  readonly wrong: (what: string) => void;
  readonly count: (what: string) => void;
}

/** An answer may take as long as a `minSeq` or a command may be waited for, and a stream goes on. */
const answer_ms = 30_000;

/** Sends requests one after the other until it is over. */
export async function attackHttp(attack: Attack, operations: readonly Operation[]): Promise<void> {
  const agent = new Agent({ keepAlive: true, maxSockets: 1 });
  while (!attack.over()) {
    const { random } = attack;
    const operation = random.pick(operations);
    if (operation === undefined) break;
    const method = random.chance(0.95)
      ? operation.method
      : (random.pick(["HEAD", "PUT", "TRACE", "OPTIONS", "PATCH"]) ?? "GET");
    const body = bodyOf(operation, attack);
    await ask(attack, agent, method, pathOf(operation, attack), headersOf(attack), body);
  }
  agent.destroy();
}

function pathOf({ path, query }: Operation, { known, random }: Attack): string {
  const whole = path.replaceAll(/\{[^}]+\}/g, () => {
    const part = random.chance(0.85) ? known.id() : oddText(random);
    return encodeURIComponent(part.toWellFormed()).slice(0, 600) || "x";
  });
  if (random.chance(0.6)) return whole;
  const wished = query === undefined ? {} : (fitting(query, known, random) as object); // an object's
  const parameters = new URLSearchParams();
  for (const [name, value] of Object.entries(wished)) {
    parameters.set(name, random.chance(0.8) ? String(value) : oddText(random));
  }
  if (random.chance(0.2)) parameters.set("cursor", oddText(random));
  return `${whole}?${parameters.toString().slice(0, 4_000)}`;
}

function headersOf({ known, random, tokens }: Attack): OutgoingHttpHeaders {
  const maybe = (name: string, share: number, value: () => string): OutgoingHttpHeaders =>
    random.chance(share) ? { [name]: value().replaceAll(/[^\x20-\x7e]/g, "?") } : {};
  return {
    ...maybe("authorization", 0.93, () => `Bearer ${random.pick(tokens) ?? ""}`),
    ...maybe("content-type", 0.95, () =>
      random.chance(0.95) ? "application/json" : oddText(random),
    ),
    ...maybe("accept", 0.3, () => random.pick(["text/event-stream", "*/*", oddText(random)]) ?? ""),
    ...maybe("idempotency-key", 0.2, () => (random.chance(0.7) ? known.id() : oddText(random))),
    ...maybe("if-match", 0.1, () => `"${oddText(random)}"`),
    ...maybe("if-none-match", 0.1, () => oddText(random)),
    ...maybe("last-event-id", 0.2, () => `${random.between(0, 9)}.${known.id()}.1.2`),
    ...maybe("x-colloquy-seq", 0.05, () => random.pick(["1", "999999", oddText(random)]) ?? ""),
    ...maybe("content-encoding", 0.02, () => "gzip"),
    ...maybe("origin", 0.1, () => random.pick(["http://evil.example", "null"]) ?? ""),
    ...maybe("traceparent", 0.1, () => oddText(random)),
  };
}

function bodyOf({ body, method }: Operation, { known, random }: Attack): string | null {
  if (method === "GET" && random.chance(0.97)) return null;
  const right = body === undefined ? {} : fitting(body, known, random);
  return written(random.chance(0.6) ? right : spoiled(right, random), random);
}

/** One request; resolves when it is answered, was left, or a stream has told enough. */
function ask(
  attack: Attack,
  agent: Agent,
  method: string,
  path: string,
  headers: OutgoingHttpHeaders,
  body: string | null,
): Promise<void> {
  const { random, wrong, count } = attack;
  const what = `${method} ${path.slice(0, 120)}`;
  return new Promise((resolve) => {
    let done = false;
    const finish = (): void => {
      if (!done) resolve();
      done = true;
      clearTimeout(timer);
    };
    const sent = request(`${attack.url}${path}`, { method, headers, agent });
    const timer = setTimeout(() => {
      if (!done) wrong(`${what}: no answer in ${answer_ms} ms`);
      sent.destroy();
      finish();
    }, answer_ms);
    sent.on("error", () => {
      // Refused in the middle of a body, or left by us: the connection is gone, which is an answer.
      count("cut");
      finish();
    });
    sent.on("response", (answer) => {
      const status = answer.statusCode ?? 0;
      const type = String(answer.headers["content-type"] ?? "");
      count(`${Math.floor(status / 100)}xx`);
      let text = "";
      answer.on("data", (chunk: Buffer) => {
        text = (text + chunk.toString()).slice(0, 200_000);
        // Some streams are left, others are read to their end.
        if (type.startsWith("text/event-stream") && random.chance(0.05)) sent.destroy();
      });
      answer.on("close", () => {
        attack.known.learn(text);
        const why = judge(status, text, method);
        if (why !== null) wrong(`${what}: ${why}`);
        finish();
      });
    });
    if (random.chance(0.03)) {
      // Left in the middle: of its body, or of the wait for its answer.
      sent.write((body ?? "{").slice(0, 20));
      setImmediate(() => sent.destroy());
      return;
    }
    sent.end(body ?? undefined);
  });
}

/** A request line, headers or a version that the server does not take. */
const by_server: ReadonlySet<number> = new Set([400, 431, 505]);

/** What is wrong with an answer; null when it may be. */
function judge(status: number, text: string, method: string): string | null {
  if (status < 400 || method === "HEAD") return null;
  if (status === 500) return `it answered 500: ${text.slice(0, 300)}`;
  // What the HTTP server itself refuses before a handler sees it has no body of ours.
  if (by_server.has(status) && (text === "" || text.startsWith("<h1>"))) return null;
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    return `${status} with no JSON: ${text.slice(0, 200)}`;
  }
  if (typeof value !== "object" || value === null) return `${status} with ${text.slice(0, 100)}`;
  if ("code" in value && typeof value.code === "string" && Object.hasOwn(errors, value.code)) {
    return null;
  }
  // The shape that OpenAI's clients read, and what /ready says.
  if ("error" in value || "checks" in value) return null;
  return `${status} without a known code: ${text.slice(0, 200)}`;
}
