/**
 * Values that fit a schema, and what a careless or a hostile client makes of them. Deep paths are
 * reached only by what is almost right, so most of what is sent begins as something that fits.
 */
import { strict as assert } from "node:assert";
import type { Random } from "../simulation/random.ts";
import type { Known } from "./known.ts";

/** As much of JSON Schema as our schemas use. */
interface Shape {
  readonly type?: string;
  readonly const?: unknown;
  readonly enum?: readonly unknown[];
  readonly anyOf?: readonly Shape[];
  readonly allOf?: readonly Shape[];
  readonly properties?: Readonly<Record<string, Shape>>;
  readonly required?: readonly string[];
  readonly items?: Shape;
  readonly pattern?: string;
  readonly minLength?: number;
  readonly maxLength?: number;
  readonly minimum?: number;
  readonly maximum?: number;
  readonly minItems?: number;
  readonly maxItems?: number;
  readonly uniqueItems?: boolean;
}

/** Who says it, what he knows, and which conversation he has named in this breath; "" for none yet. */
export interface Speaker {
  readonly who: string;
  readonly known: Known;
  readonly random: Random;
  within: string;
}

/** Without these a request says nothing, though its schema lets them go. */
const telling: ReadonlySet<string> = new Set(["text", "content", "parts", "messages"]);

/** Texts that parsers and databases stumble over. */
const odd_texts = [
  ...["", " ", "\0", "\u202E", "\uD800", "\uFEFF", "'; DROP TABLE x;--", "%00", "../../etc/passwd"],
  ...["__proto__", "constructor", "${7*7}", "<script>1</script>", "NaN", "null", "[object Object]"],
  ...["💥".repeat(50), "A".repeat(5_000), "﷽".repeat(200), "\r\nSet-Cookie: a=b", "-1", "1e400"],
];

export const oddText = (random: Random): string => random.pick(odd_texts) ?? "";

/** Anything that JSON can say. */
export function anything(random: Random, depth = 3): unknown {
  const leaf = random.between(0, depth > 0 ? 8 : 5);
  if (leaf === 0) return null;
  if (leaf === 1) return random.chance(0.5);
  if (leaf === 2) return random.pick([0, -1, 1.5, 2 ** 53, -(2 ** 31), 1e308, 4_294_967_296]);
  if (leaf <= 5) return oddText(random);
  const some = Array.from({ length: random.between(0, 4) }, () => anything(random, depth - 1));
  if (leaf === 6) return some;
  return Object.fromEntries(some.map((value) => [oddText(random).slice(0, 40), value]));
}

/** A value that fits the schema of a field of this name, or nearly. */
export function fitting(schema: object, speaker: Speaker, name = ""): unknown {
  const { random } = speaker;
  const shape: Shape = schema;
  if (shape.const !== undefined) return shape.const;
  if (shape.enum !== undefined) return random.pick(shape.enum);
  const choice = shape.anyOf === undefined ? undefined : random.pick(shape.anyOf);
  if (choice !== undefined) return fitting(choice, speaker, name);
  if (shape.allOf !== undefined) {
    return Object.assign({}, ...shape.allOf.map((one) => fitting(one, speaker, name)));
  }
  switch (shape.type) {
    case "null":
      return null;
    case "boolean":
      return random.chance(0.5);
    case "integer":
    case "number": {
      const least = shape.minimum ?? 0;
      return random.between(least, Math.min(shape.maximum ?? least + 20, least + 20));
    }
    case "array": {
      const least = shape.minItems ?? (telling.has(name) ? 1 : 0);
      const count = random.between(least, Math.min(shape.maxItems ?? 3, 3));
      const items = shape.items ?? {};
      const list = Array.from({ length: count }, () => fitting(items, speaker, name));
      return shape.uniqueItems === true ? [...new Set(list)] : list;
    }
    case "object": {
      // Parameters that nobody knows together are refused, so some say only what they must.
      const share = random.pick([0, 0.1, 0.4]) ?? 0;
      const wanted = Object.entries(shape.properties ?? {}).filter(
        ([key]) =>
          shape.required?.includes(key) === true || telling.has(key) || random.chance(share),
      );
      return Object.fromEntries(
        wanted.map(([key, one]) => [key, fitting(one, speaker, key)] as const),
      );
    }
    case "string":
      return textOf(shape, speaker, name);
    default:
      return name === "content" && random.chance(0.8) ? question(speaker) : anything(random);
  }
}

const question = ({ random }: Speaker): string =>
  random.pick(["What is a log?", "Summarise it.", "日志是什么？", "x"]) ?? "";

/** The password of every account that is made here. */
const password = "correct horse battery staple";
const emails = Array.from({ length: 8 }, (_, n) => `fuzz-${n}@fuzz.example`);
/** What of an answer a field of this name takes. */
const taken: Readonly<Record<string, string>> = { invitation: "invitationToken" };
/** What a field of this name says, when no answer has named one. */
const words: Readonly<Record<string, readonly string[]>> = {
  email: emails,
  password: [password],
  currentPassword: [password],
  newPassword: [password],
  role: ["user", "user", "user", "assistant", "system"],
  type: ["text"],
  types: ["turn.completed", "turn.*", "*"],
  url: ["https://hooks.fuzz.example/in"],
  tenant: ["acme", "globex", "main"],
};
/** These make something of this name, or name the command. */
const made: ReadonlySet<string> = new Set(["id", "runId", "traceparent"]);

function textOf(shape: Shape, speaker: Speaker, name: string): string {
  const { pattern, minLength, maxLength } = shape;
  const { known, random, who } = speaker;
  if (random.chance(0.03)) return oddText(random).slice(0, maxLength ?? 5_000);
  if (pattern?.includes("[0-9a-f]{8}-") === true) {
    // A conversation that nobody knows is begun by what is sent to it.
    const share = made.has(name) ? 0.1 : name === "conversation" ? 0.7 : 0.85;
    const id = known.id(who, made.has(name) ? "message" : name, share, speaker.within);
    if (name === "conversation") speaker.within = id;
    return id;
  }
  if (pattern?.includes("\\d{4}-\\d\\d") === true) return timeOf(random);
  const said = random.pick(words[name] ?? []);
  const found = said ?? (random.chance(0.8) ? known.pick(who, taken[name] ?? name) : undefined);
  const text = found ?? (pattern === undefined ? question(speaker) : "user-1");
  return text.padEnd(minLength ?? 0, "x").slice(0, maxLength ?? 5_000);
}

const timeOf = (random: Random): string =>
  random.pick([new Date(0), new Date(Date.now() + 3_600_000)])?.toISOString() ?? "";

/** The same value with one thing wrong, somewhere. */
export function spoiled(value: unknown, random: Random): unknown {
  if (Array.isArray(value) && value.length > 0 && random.chance(0.7)) {
    const at = random.between(0, value.length - 1);
    return value.map((one: unknown, index) => (index === at ? spoiled(one, random) : one));
  }
  if (typeof value === "object" && value !== null && !Array.isArray(value)) {
    const entries = Object.entries(value);
    const at = random.between(0, entries.length);
    const name = entries[at]?.[0];
    if (name === undefined) return { ...value, [oddText(random).slice(0, 30)]: anything(random) };
    const kept = entries.filter(([other]) => other !== name);
    if (random.chance(0.3)) return Object.fromEntries(kept);
    return Object.fromEntries([...kept, [name, spoiled(entries[at]?.[1], random)]]);
  }
  return anything(random);
}

/** The JSON text of a value, sometimes cut, doubled or nested beyond all reason. */
export function written(value: unknown, random: Random): string {
  const text = JSON.stringify(value) ?? "null";
  if (random.chance(0.94)) return text;
  const broken = random.pick([
    text.slice(0, random.between(0, text.length)),
    `${text}${text}`,
    "[".repeat(20_000),
    `{"a":${text}`,
    text.replaceAll('"', "'"),
    `\uFEFF${text}`,
  ]);
  assert(broken !== undefined);
  return broken;
}
