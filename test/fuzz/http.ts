/**
 * A client over HTTP that means no good: every operation of the table, nearly right, with all sorts of
 * credentials and headers, some requests left in the middle. What it may be answered is checked at once.
 */
import { request, Agent, type OutgoingHttpHeaders } from "node:http";
import type { Operation } from "../../gateway/http/operation.ts";
import { problemsOf } from "../../gateway/description/openapi.ts";
import { errors } from "../../schemas/errors.ts";
import type { Random } from "../simulation/random.ts";
import { type Known, nounOf } from "./known.ts";
import { fitting, oddText, type Speaker, spoiled, written } from "./shapes.ts";
import type { Tally } from "./tally.ts";

export interface Attack {
  readonly url: string;
  readonly random: Random;
  readonly known: Known;
  /** Tokens of several tenants and users. */
  readonly tokens: readonly string[];
  /** What is none, or none any more; "" for nothing. */
  readonly spoiltTokens: readonly string[];
  readonly over: () => boolean;
  readonly wrong: (what: string) => void;
  readonly tally: Tally;
}

/**
 * An answer may take as long as a command is waited for, and then a read model, and then a database
 * that has no time: one after the other. What takes longer hangs.
 */
const answer_ms = 90_000;

/** One request: who asks what, and whether as its operation wants it. */
interface Asking {
  readonly operation: Operation;
  readonly speaker: Speaker;
  /** Only now and then something is wrong with it: deep paths are reached by what is right. */
  readonly careful: boolean;
}

/** What gives a token of an account. */
const signs: ReadonlySet<string> = new Set(["login", "refresh"]);

/** Sends requests one after the other until it is over. */
export async function attackHttp(attack: Attack, operations: readonly Operation[]): Promise<void> {
  const agent = new Agent({ keepAlive: true, maxSockets: 1 });
  // What makes something comes more often, so that the others meet something.
  const choice = operations.flatMap((one) => (one.method === "POST" ? [one, one, one] : [one]));
  while (!attack.over()) {
    const { random, known } = attack;
    const operation = random.pick(choice);
    if (operation === undefined) break;
    const careful = random.chance(0.7);
    const who = whoOf(attack, operation, careful);
    const asking = { operation, careful, speaker: { who, known, random, within: "" } };
    const method =
      careful || random.chance(0.85)
        ? operation.method
        : (random.pick(["HEAD", "PUT", "TRACE", "OPTIONS", "PATCH"]) ?? "GET");
    const path = pathOf(asking);
    const body = bodyOf(asking);
    const headers = headersOf(asking);
    // Without a length, what follows a DELETE's or GET's head is the next request: bare TCP does that.
    if (body !== null) headers["content-length"] = Buffer.byteLength(body);
    await ask(attack, agent, asking, { method, path, headers, body });
  }
  agent.destroy();
}

/** Whose credential a request carries: one that was given out, one that was learnt, or none. */
function whoOf({ random, known, ...attack }: Attack, { tag }: Operation, careful: boolean): string {
  if (!careful && random.chance(0.3)) return random.pick(attack.spoiltTokens) ?? "";
  // Only who has an account has a profile and sessions.
  const own = tag === "users" || tag === "auth";
  const kind = own ? "account" : random.pick(["account", "accessToken", "apiKey"]);
  const learnt = random.chance(own ? 0.8 : 0.3) ? known.pick("", kind ?? "") : undefined;
  return learnt ?? random.pick(attack.tokens) ?? "";
}

function pathOf({ operation: { path, query }, speaker, careful }: Asking): string {
  const { known, random, who } = speaker;
  const nouns = path.split("/");
  const whole = nouns
    .map((segment, index) => {
      const name = /^\{(.*)\}$/.exec(segment)?.[1];
      if (name === undefined) return segment;
      const before = nounOf(nouns[index - 1] ?? "");
      const noun = name === "id" || before === "member" ? before : name;
      const part =
        noun === "revision"
          ? String(random.between(0, 12))
          : random.chance(careful ? 0.98 : 0.8)
            ? known.id(who, noun, 0.95, speaker.within)
            : oddText(random);
      if (noun === "conversation") speaker.within = part;
      return encodeURIComponent(part.toWellFormed()).slice(0, 600) || "x";
    })
    .join("/");
  if (random.chance(0.6)) return whole;
  // An object's schema makes an object.
  const wished = query === undefined ? {} : (fitting(query, speaker) as object);
  const parameters = new URLSearchParams();
  for (const [name, value] of Object.entries(wished)) {
    parameters.set(name, random.chance(careful ? 0.98 : 0.7) ? String(value) : oddText(random));
  }
  if (!careful && random.chance(0.2)) parameters.set("cursor", oddText(random));
  return `${whole}?${parameters.toString().slice(0, 4_000)}`;
}

function headersOf({ speaker: { known, random, who }, careful }: Asking): OutgoingHttpHeaders {
  const maybe = (name: string, share: number, value: () => string): OutgoingHttpHeaders =>
    random.chance(share) ? { [name]: value().replaceAll(/[^\x20-\x7e]/g, "?") } : {};
  const right = {
    ...(who === "" ? {} : { authorization: `Bearer ${who.replaceAll(/[^\x21-\x7e]/g, "?")}` }),
    ...maybe("accept", 0.2, () => random.pick(["text/event-stream", "*/*"]) ?? ""),
    ...maybe("idempotency-key", 0.2, () => known.id(who, "message", 0.3)),
    "content-type": "application/json",
  };
  if (careful) return right;
  return {
    ...right,
    ...maybe("content-type", 0.1, () => oddText(random)),
    ...maybe("accept", 0.1, () => oddText(random)),
    ...maybe("idempotency-key", 0.1, () => oddText(random)),
    ...maybe("if-match", 0.1, () => `"${oddText(random)}"`),
    ...maybe("if-none-match", 0.1, () => oddText(random)),
    ...maybe("last-event-id", 0.3, () => `${random.between(0, 9)}.${known.id(who, "turn")}.1.2`),
    ...maybe("x-colloquy-seq", 0.05, () => random.pick(["1", "999999", oddText(random)]) ?? ""),
    ...maybe("content-encoding", 0.03, () => "gzip"),
    ...maybe("origin", 0.1, () => random.pick(["http://evil.example", "null"]) ?? ""),
    ...maybe("traceparent", 0.1, () => oddText(random)),
  };
}

function bodyOf({ operation: { body, method }, speaker, careful }: Asking): string | null {
  const { random } = speaker;
  if (method === "GET" && (careful || random.chance(0.9))) return null;
  if (body === undefined && careful) return null;
  const right = body === undefined ? {} : fitting(body, speaker);
  if (careful) return JSON.stringify(right);
  return written(random.chance(0.4) ? right : spoiled(right, random), random);
}

interface Written {
  readonly method: string;
  readonly path: string;
  readonly headers: OutgoingHttpHeaders;
  readonly body: string | null;
}

/** One request; resolves when it is answered, was left, or a stream has told enough. */
function ask(
  attack: Attack,
  agent: Agent,
  { operation, speaker: { who } }: Asking,
  { method, path, headers, body }: Written,
): Promise<void> {
  const id = method === operation.method ? operation.id : null;
  const noun = nounOf(operation.path.split("/").findLast((part) => !part.startsWith("{")) ?? "");
  const { random, wrong, tally } = attack;
  const what = `${method} ${path.slice(0, 120)}`;
  return new Promise((resolve) => {
    const began = performance.now();
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
      tally.count("cut");
      finish();
    });
    sent.on("response", (answer) => {
      const status = answer.statusCode ?? 0;
      const type = String(answer.headers["content-type"] ?? "");
      let text = "";
      answer.on("data", (chunk: Buffer) => {
        text = (text + chunk.toString()).slice(0, 200_000);
        // Some streams are left, others are read to their end.
        if (type.startsWith("text/event-stream") && random.chance(0.05)) sent.destroy();
      });
      answer.on("close", () => {
        attack.known.learn(who, noun, text);
        const account = signs.has(operation.id)
          ? /"accessToken":"([^"]+)"/.exec(text)?.[1]
          : undefined;
        if (account !== undefined) attack.known.add("", "account", account);
        tally.answered(id, status, codeOf(status, text), performance.now() - began);
        const why =
          judge(status, text, method) ??
          (status < 400 ? null : undescribed(id === null ? null : operation, text));
        if (why !== null) wrong(why.startsWith(operation.id) ? why : `${what}: ${why}`);
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

/** The code that a refusal names; "" for none. */
function codeOf(status: number, text: string): string {
  if (status < 400) return "";
  return /"code":"(\w+)"/.exec(text)?.[1] ?? "";
}

/** Why the operation may not answer with this code; null when it describes it, or another refused. */
function undescribed(operation: Operation | null, text: string): string | null {
  const code = codeOf(400, text);
  if (operation === null || !Object.hasOwn(errors, code)) return null;
  const known: ReadonlySet<string> = problemsOf(operation);
  return known.has(code) ? null : `${operation.id} does not say that it may answer ${code}`;
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
