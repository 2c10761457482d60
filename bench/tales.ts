/**
 * What people and models do in conversations, decision by decision, from a seed: mostly a question and
 * its streamed answer, sometimes a cancel, a failure, a lost worker, a second attempt at a question, a
 * message that waits, a rename, the archive, a deletion. Kept apart from the actors, whose speed must
 * not count here; what comes out are histories that they could have written.
 */
import { type DomainEvent, event } from "../schemas/events.ts";
import { type By, uuidv7 } from "../schemas/ids.ts";
import type { FrameRecord } from "../schemas/tokens.ts";

/** Numbers from 0 to below 1. */
export type Random = () => number;

/** mulberry32: small, seeded, good enough to draw lengths and choices from. */
export function seeded(seed: number): Random {
  let a = seed >>> 0;
  return () => {
    a = (a + 0x6d2b79f5) >>> 0;
    let t = Math.imul(a ^ (a >>> 15), a | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) / 4_294_967_296;
  };
}

/** A UUIDv7 of that time, from the seed. */
export const idFrom = (random: Random, now_ms: number): string =>
  uuidv7(now_ms, (bytes) => {
    for (let at = 0; at < bytes.length; at += 4) {
      const word = random() * 4_294_967_296;
      bytes[at] = word;
      bytes[at + 1] = word / 256;
      bytes[at + 2] = word / 65_536;
      bytes[at + 3] = word / 16_777_216;
    }
    return bytes;
  });

/** One decision: what a commit holds beside its place. */
export interface Step {
  readonly by: By;
  readonly events: readonly DomainEvent[];
  /** Since the step before. */
  readonly after_ms: number;
}

/** As a model of 100 tokens a second fills frames of 50 ms. */
const chars_per_frame = 20;
const frame_ms = 50;
const first_token_ms = 300;
/** Where the first checkpoint of an answer is taken, and each further one. */
const first_checkpoint_frames = 2_000 / frame_ms;
const checkpoint_frames = 5_000 / frame_ms;
const answer_chars_max = 12_000;
const turns_max = 200;
const models = ["small", "medium", "large"] as const;

/** Words of a conversation; one text in eight is of other letters than Latin ones, too. */
const latin =
  "the a durable actor keeps its state in log and goes on where it was when worker dies what happens to conversation you can replay every event from sequence one naïve café because answer is only as good question that was asked please show me how configure stream with three replicas, thank you. Then, again? No: first list all steps; second measure them.";
const other =
  "и что тогда происходит с журналом 世界 您好 ответ хранится в событии どうもありがとう";

function corpus(words: readonly string[], random: Random): string {
  let text = "";
  while (text.length < 4 * answer_chars_max) {
    text += `${words[Math.floor(random() * words.length)] ?? ""} `;
  }
  return text;
}
const corpora = [latin, `${latin} ${other}`].map((words) => corpus(words.split(" "), seeded(1)));

/** Most are short, some are very long: the logarithm of a length is bell-shaped. */
function text(random: Random, median: number, max: number): string {
  const bell = random() + random() + random() - 1.5;
  const length = Math.max(2, Math.min(max, Math.round(median * Math.exp(1.8 * bell))));
  const from = corpora[random() < 0.125 ? 1 : 0] ?? "";
  const at = Math.floor(random() * (from.length - length));
  return from.slice(at, at + length);
}

function frames(chars: number, random: Random): FrameRecord {
  const count = Math.ceil(chars / chars_per_frame);
  const lengths = Array.from({ length: count }, (_, at) =>
    Math.min(chars_per_frame, chars - at * chars_per_frame),
  );
  return { lengths, times: lengths.map(() => frame_ms - 5 + Math.floor(random() * 10)) };
}

/** What a worker would put on the bill. */
const usageOf = (asked: number, answered: number) => {
  const [tokensIn, tokensOut] = [Math.ceil(asked / 4) + 20, Math.ceil(answered / 4)];
  return { tokensIn, tokensOut, costUsd: ((tokensIn + 4 * tokensOut) * 1e-6).toFixed(6) };
};

/** All steps of one conversation of `owner`, whose ids are of its times. */
export function* tale(random: Random, owner: string, ids: () => string): Generator<Step> {
  const person: By = { type: "user", id: owner };
  const worker: By = { type: "system", id: `worker-${Math.floor(random() * 4)}` };
  const model = models[Math.floor(random() * models.length)] ?? models[0];
  const route = { owner: worker.id, provider: "bench", model };
  // Two turns at least, and a long tail: one conversation in ten has more than twelve.
  const turns = Math.min(turns_max, Math.floor(2 / random() ** 0.8));
  const chance = (of: number): boolean => random() < of;
  const by = (who: By, after_ms: number, ...events: DomainEvent[]): Step => ({
    ...{ by: who, events, after_ms },
  });
  let parent: string | null = null;
  let titled = false;
  let waiting: { turn: string; message: string; user: string } | null = null;

  for (let n = 0; n < turns; n++) {
    const began: DomainEvent[] = [];
    if (n === 0) {
      const start = { origin: chance(0.1) ? "api" : "chat", owner, model: null } as const;
      began.push(event("conversation.started", { ...start, overlap: "queue" }));
    }
    const { turn, message, user } = waiting ?? { turn: ids(), message: ids(), user: ids() };
    let asked = 100;
    if (waiting === null) {
      const question = text(random, 120, 4_000);
      asked = question.length;
      began.push(
        event("message.added", { message: user, parent, role: "user", text: question }),
        event("turn.started", { turn, message, user, attempt: 1, ...route }),
      );
      yield by(person, 5_000 + random() * 60_000, ...began);
    }
    waiting = null;
    let attempt = 1;
    const answer = text(random, 800, answer_chars_max);
    const record = frames(answer.length, random);
    const total_ms = first_token_ms + record.lengths.length * frame_ms;
    const called = { turn, provider: "bench", model, estimated: false, first_token_ms } as const;
    const quiet = { code: null, detail: "" } as const;
    if (chance(0.015)) {
      const usage = usageOf(asked, 40);
      const lost = { ...called, attempt, outcome: "lost", usage, estimated: true } as const;
      attempt = 2;
      yield by(
        worker,
        3_000,
        event("model.attempted", { ...lost, total_ms: null, ...quiet }),
        event("turn.restarted", { turn, attempt, ...route, reason: "owner_gone" }),
      );
    }
    // A turn that ends early has shown its first half.
    const fate = random();
    const seq = fate < 0.93 ? record.lengths.length : record.lengths.length >> 1;
    let [first, told] = [1, 0];
    for (let at = first_checkpoint_frames; at < seq; at += checkpoint_frames) {
      const part = {
        lengths: record.lengths.slice(first - 1, at),
        times: record.times.slice(first - 1, at),
      };
      const shown = answer.slice(told, at * chars_per_frame);
      yield by(
        worker,
        (at - first + 1) * frame_ms,
        event("turn.checkpointed", { turn, attempt, first, seq: at, text: shown, frames: part }),
      );
      [first, told] = [at + 1, told + shown.length];
    }
    if (chance(0.02)) {
      const [user2, text2] = [ids(), text(random, 120, 4_000)];
      waiting = { turn: ids(), message: ids(), user: user2 };
      yield by(
        person,
        500,
        event("message.added", { message: user2, parent: message, role: "user", text: text2 }),
        event("turn.queued", { ...waiting, model: null }),
      );
      // It has to be answered, whatever the number of turns was to be.
      if (n === turns - 1) n--;
    }
    const shown = answer.slice(0, seq * chars_per_frame);
    const kept = { lengths: record.lengths.slice(0, seq), times: record.times.slice(0, seq) };
    const usage = usageOf(asked, shown.length);
    const end = { turn, message, attempt, seq, text: shown, frames: kept, usage };
    const call = { ...called, attempt, usage, total_ms };
    const ended: DomainEvent[] =
      fate < 0.93
        ? [
            event("model.attempted", { ...call, outcome: "completed", ...quiet }),
            event("turn.completed", { ...end, finish: chance(0.02) ? "length" : "stop" }),
          ]
        : fate < 0.975
          ? [
              event("model.attempted", { ...call, outcome: "cancelled", ...quiet }),
              event("turn.cancelled", { ...end, reason: "asked" }),
            ]
          : [
              event("model.attempted", {
                ...{ ...call, outcome: "failed", code: "model_unavailable" },
                detail: "The provider ended the stream.",
              }),
              event("turn.failed", { ...end, code: "model_unavailable", detail: "It broke off." }),
            ];
    if (!titled && fate < 0.93) {
      ended.push(event("conversation.titled", { title: text(random, 30, 80), source: "self" }));
      titled = true;
    }
    if (waiting !== null) {
      ended.push(event("turn.started", { ...waiting, attempt: 1, ...route }));
    }
    yield by(fate >= 0.93 && fate < 0.975 ? person : worker, frame_ms, ...ended);
    parent = message;
    if (waiting !== null) continue;
    if (chance(0.03)) {
      const again = { turn: ids(), message: ids(), user };
      yield by(person, 20_000, event("turn.started", { ...again, attempt: 1, ...route }));
      const body = text(random, 800, answer_chars_max);
      const whole = frames(body.length, random);
      const cost = usageOf(asked, body.length);
      yield by(
        worker,
        whole.lengths.length * frame_ms,
        event("model.attempted", {
          ...{ ...called, turn: again.turn, attempt: 1, usage: cost, total_ms },
          ...{ outcome: "completed", ...quiet },
        }),
        event("turn.completed", {
          ...{ turn: again.turn, message: again.message, attempt: 1, seq: whole.lengths.length },
          ...{ text: body, frames: whole, usage: cost, finish: "stop" },
        }),
      );
      parent = again.message;
      if (chance(0.3)) {
        yield by(person, 4_000, event("head.moved", { message }));
        parent = message;
      }
    }
    if (chance(0.02)) {
      const title = text(random, 30, 80);
      yield by(person, 10_000, event("conversation.titled", { title, source: "user" }));
    }
  }
  const last = random();
  if (last < 0.08) yield by(person, 60_000, event("conversation.deleted", {}));
  else if (last < 0.2) yield by(person, 60_000, event("conversation.archived", {}));
}
