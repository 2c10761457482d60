/**
 * Values that fit a schema, and what a careless or a hostile client makes of them. Deep paths are
 * reached only by what is almost right, so most of what is sent begins as something that fits.
 */
import { strict as assert } from "node:assert";
import { systemIds } from "../../schemas/ids.ts";
import type { Random } from "../simulation/random.ts";

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
}

/** What is known by now: ids that answers named, so that real things are asked for, too. */
export class Known {
  readonly #ids: string[] = [];
  readonly #random: Random;

  constructor(random: Random) {
    this.#random = random;
  }

  /** Remembers the UUIDs of an answer; the newest thousand. */
  learn(text: string): void {
    const found = text.match(/[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}/g) ?? [];
    this.#ids.push(...found.slice(0, 20));
    if (this.#ids.length > 1_000) this.#ids.splice(0, 500);
  }

  id(): string {
    return this.#random.chance(0.7) ? (this.#random.pick(this.#ids) ?? systemIds()) : systemIds();
  }
}

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

/** A value that fits the schema, or nearly: a pattern that is not known gets a plain word. */
export function fitting(schema: object, known: Known, random: Random): unknown {
  const shape: Shape = schema;
  if (shape.const !== undefined) return shape.const;
  if (shape.enum !== undefined) return random.pick(shape.enum);
  const choice = shape.anyOf === undefined ? undefined : random.pick(shape.anyOf);
  if (choice !== undefined) return fitting(choice, known, random);
  if (shape.allOf !== undefined) {
    return Object.assign({}, ...shape.allOf.map((one) => fitting(one, known, random)));
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
      const count = random.between(shape.minItems ?? 0, Math.min(shape.maxItems ?? 3, 3));
      const items = shape.items ?? {};
      return Array.from({ length: count }, () => fitting(items, known, random));
    }
    case "object": {
      const wanted = Object.entries(shape.properties ?? {}).filter(
        ([name]) => shape.required?.includes(name) === true || random.chance(0.4),
      );
      return Object.fromEntries(
        wanted.map(([name, one]) => [name, fitting(one, known, random)] as const),
      );
    }
    case "string":
      return textOf(shape, known, random);
    default:
      return anything(random);
  }
}

function textOf({ pattern, minLength, maxLength }: Shape, known: Known, random: Random): string {
  if (pattern?.includes("[0-9a-f]{8}-") === true) return known.id();
  if (pattern?.includes("\\d{4}-\\d\\d") === true) return new Date(0).toISOString();
  if (pattern !== undefined) return random.pick(["acme", "you", "user-1", "a@b.example"]) ?? "";
  const words = ["What is a log?", "Summarise it.", "日志是什么？", "title", "x"];
  const text = random.chance(0.8) ? (random.pick(words) ?? "") : oddText(random);
  return text.padEnd(minLength ?? 0, "x").slice(0, maxLength ?? 200);
}

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
