/**
 * What is known by now: the ids, cursors, tokens and names that answers told, by what they name and by
 * who heard them, so that real things are asked for by whoever has them, and by others. Bounded.
 */
import { isUuid, systemIds } from "../../schemas/ids.ts";
import { parseJson } from "../../schemas/validate.ts";
import type { Random } from "../simulation/random.ts";

/** Of one name and one who. */
const kept_max = 60;
const lists_max = 5_000;
/** What belongs to a conversation. */
const near_names: ReadonlySet<string> = new Set(["message", "parent", "turn", "head"]);
/** Names of a request, by what answers call the same. */
const aliases: Readonly<Record<string, string>> = {
  parent: "message",
  head: "message",
  messageId: "message",
  threadId: "chat",
  actor: "conversation",
  history: "conversation",
  cursor: "next",
  "api-key": "key",
};
/** What an answer calls otherwise than the request that takes it: by its noun and name. */
const renamed: Readonly<Record<string, string>> = {
  "member user": "member",
  "invitation token": "invitationToken",
  "key key": "apiKey",
};

/** What a path's noun calls one of its things: `conversations` → `conversation`. */
export const nounOf = (segment: string): string => {
  const singular = segment.replace(/s$/, "");
  return aliases[singular] ?? singular;
};

export class Known {
  readonly #values = new Map<string, string[]>();
  readonly #random: Random;

  constructor(random: Random) {
    this.#random = random;
  }

  /** Remembers what an answer to the bearer of a token names; its `id`s are those of `noun`. */
  learn(token: string, noun: string, text: string): void {
    const who = bearerOf(token);
    const whole = parseJson(text);
    if (whole !== undefined) return this.#walk(who, noun, whole, 6);
    for (const line of text.split("\n").slice(0, 40)) {
      if (line.startsWith("data: ")) this.#walk(who, noun, parseJson(line.slice(6)), 6);
    }
  }

  /**
   * One of these: of the conversation that is spoken of, else of the token's bearer, else, now and
   * then, anybody's; undefined while there is none.
   */
  pick(token: string, name: string, within = ""): string | undefined {
    const who = bearerOf(token);
    const called = aliases[name] ?? name;
    const near = within === "" ? undefined : this.#values.get(`${within} ${called}`);
    if (near !== undefined && this.#random.chance(0.9)) return this.#random.pick(near);
    const own = this.#values.get(`${who} ${called}`);
    const all = this.#values.get(` ${called}`) ?? [];
    return this.#random.pick(own !== undefined && this.#random.chance(0.85) ? own : all);
  }

  /** A UUID, known or new. */
  id(token: string, name: string, known_share = 0.85, within = ""): string {
    const found = this.#random.chance(known_share) ? this.pick(token, name, within) : undefined;
    return found ?? systemIds();
  }

  add(who: string, name: string, value: string): void {
    // Conversations come and go; the oldest is forgotten with what is in it.
    const oldest = this.#values.size > lists_max ? this.#values.keys().next().value : undefined;
    if (oldest !== undefined) this.#values.delete(oldest);
    for (const key of [`${who} ${name}`, ` ${name}`]) {
      const list = this.#values.get(key) ?? [];
      this.#values.set(key, list);
      if (list.includes(value)) continue;
      list.push(value);
      if (list.length > kept_max) list.splice(this.#random.between(0, kept_max / 2), 1);
    }
  }

  #walk(who: string, noun: string, value: unknown, depth: number, within = ""): void {
    if (typeof value !== "object" || value === null || depth === 0) return;
    if (Array.isArray(value)) {
      for (const one of value.slice(0, 20)) this.#walk(who, noun, one, depth - 1, within);
      return;
    }
    const told = "conversation" in value ? value.conversation : null;
    const near = typeof told === "string" ? told : within;
    for (const [key, inner] of Object.entries(value).slice(0, 40)) {
      const name = key === "id" ? noun : (renamed[`${noun} ${key}`] ?? key);
      if (typeof inner === "string") {
        // What went wrong is told under this name, too.
        if (inner === "" || inner.length > 600 || (name === "message" && !isUuid(inner))) continue;
        this.add(who, aliases[name] ?? name, inner);
        if (near !== "" && near_names.has(name)) this.add(near, aliases[name] ?? name, inner);
      } else if (typeof inner === "object") {
        const inside = Array.isArray(inner) ? noun : key === "event" ? "event" : nounOf(key);
        this.#walk(who, inside, inner, depth - 1, near);
      }
    }
  }
}

/**
 * Who bears a token: an account by its id, wherever and as often as it signed in, so that a session
 * that one of its tokens has listed is ended by another; else the tenant's user, else the text itself.
 */
function bearerOf(token: string): string {
  const claims: unknown = parseJson(Buffer.from(token.split(".")[1] ?? "", "base64url").toString());
  if (typeof claims !== "object" || claims === null) return token;
  if (!("sub" in claims && "tenant" in claims)) return token;
  const { sub, tenant } = claims;
  return isUuid(sub) ? sub : `${String(tenant)} ${String(sub)}`;
}
