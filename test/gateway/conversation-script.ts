/** Makes whole conversations, as commits and token frames, for the tests of the gateway. */
import { createHash } from "node:crypto";
import type { Commit } from "../../schemas/commit.ts";
import { type DomainEvent, event } from "../../schemas/events.ts";
import type { FrameRecord, TokenFrame } from "../../schemas/tokens.ts";

export const uuid = (n: number): string => `00000000-0000-4000-8000-${String(n).padStart(12, "0")}`;
export const usage = { tokensIn: 1, tokensOut: 2, costUsd: "0.000000" };

export interface TurnScript {
  /** The frames' texts of each attempt; the last one ends the turn. */
  readonly attempts: readonly (readonly string[])[];
  /** A checkpoint after this many frames of every attempt. */
  readonly checkpointEvery: number;
  readonly end: "completed" | "cancelled" | "failed" | "open";
}

/** One item of a lane, in the order in which the world made them. */
export type Item = { readonly commit: Commit } | { readonly frame: TokenFrame };

const record = (texts: readonly string[]): FrameRecord => ({
  lengths: texts.map((text) => text.length),
  times: texts.map(() => 1),
});

/** What the log and the token lane carry for these turns. */
export function script(tenant: string, id: string, turns: readonly TurnScript[]): Item[] {
  const items: Item[] = [];
  let revision = 1;
  let sequence = 0;
  let hash = "0".repeat(64);
  let n = 1000;
  const commit = (events: readonly DomainEvent[]): void => {
    const prev = hash;
    hash = createHash("sha256").update(`${prev}${revision}`).digest("hex");
    items.push({
      commit: {
        ref: { tenant, kind: "conversation", id },
        commit: uuid(n++),
        command: uuid(n++),
        by: { type: "user", id: "ann" },
        at: new Date(1_700_000_000_000 + revision).toISOString(),
        traceparent: null,
        events,
        revision,
        sequence: ++sequence,
        prev,
        hash,
        erased: false,
      },
    });
    revision += events.length;
  };
  commit([
    event("conversation.started", { origin: "chat", owner: "ann", model: null, overlap: "queue" }),
  ]);
  for (const { attempts, checkpointEvery, end } of turns) {
    const [turn, user, message] = [uuid(n++), uuid(n++), uuid(n++)];
    const model = { owner: "w", provider: "p", model: "m" };
    commit([
      event("message.added", { message: user, parent: null, role: "user", text: "hi" }),
      event("turn.queued", { turn, message, user, model: null }),
      event("turn.started", { turn, message, user, attempt: 1, ...model }),
    ]);
    for (const [index, texts] of attempts.entries()) {
      const attempt = index + 1;
      if (attempt > 1) {
        commit([event("turn.restarted", { turn, attempt, ...model, reason: "owner_gone" })]);
      }
      let first = 1;
      for (const [at, d] of texts.entries()) {
        items.push({ frame: { t: turn, a: attempt, s: at + 1, d } });
        if ((at + 1) % checkpointEvery !== 0) continue;
        const since = texts.slice(first - 1, at + 1);
        const of = { text: since.join(""), frames: record(since) };
        commit([event("turn.checkpointed", { turn, attempt, first, seq: at + 1, ...of })]);
        first = at + 2;
      }
    }
    if (end === "open") continue;
    const texts = attempts.at(-1) ?? [];
    const whole = { text: texts.join(""), frames: record(texts), usage };
    const ending = { turn, message, attempt: attempts.length, seq: texts.length, ...whole };
    commit([
      end === "completed"
        ? event("turn.completed", { ...ending, finish: "stop" })
        : end === "cancelled"
          ? event("turn.cancelled", { ...ending, reason: "asked" })
          : event("turn.failed", { ...ending, code: "model_timeout", detail: "" }),
      event("conversation.titled", { title: "t", source: "self" }),
    ]);
  }
  return items;
}

export const commitsOf = (items: readonly Item[]): Commit[] =>
  items.flatMap((item) => ("commit" in item ? [item.commit] : []));
export const framesOf = (items: readonly Item[]): TokenFrame[] =>
  items.flatMap((item) => ("frame" in item ? [item.frame] : []));
