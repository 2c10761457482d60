/**
 * Writes an answer: reads the texts of the path, calls the model, sends frames, and reports what
 * came of it. It changes nothing itself and never rejects: whatever happens becomes a report, which
 * its actor decides on like on any command. It begins with a microtask and a look at its signal, so
 * that a commit that starts and ends a turn at once calls no model.
 */
import type { CallReport } from "../../schemas/commands/conversation.ts";
import { AppError } from "../../schemas/errors.ts";
import type { Usage } from "../../schemas/events/fields.ts";
import { limits } from "../../schemas/limits.ts";
import { ModelError, type ModelMessage, type ModelUsage } from "../../schemas/models.ts";
import type { Ports } from "../ports.ts";
import { checkpointing } from "./checkpoints.ts";
import type { Progress } from "./decision.ts";
import { FrameWriter } from "./frames.ts";
import { readPrompt } from "./prompt.ts";
import type { NamedReport } from "./reports.ts";
import type { TurnInput } from "./turn-input.ts";

/** One attempt of one turn, running or done. */
export interface Run {
  /** No further frame; what everybody has seen until now. */
  freeze(): Progress;
  /** Goes on after a freeze. */
  thaw(): void;
  /** Ends it for good: the provider's connection is closed, nothing more is reported. */
  stop(): void;
}

/**
 * Takes a report; resolves when it has been decided on. Never rejects. `taken` is called at that
 * very moment, before anything else can be decided.
 */
export type Send = (report: NamedReport, taken?: () => void) => Promise<void>;

type RunPorts = Pick<Ports, "texts" | "tokens" | "models" | "clock" | "title" | "report">;

const no_usage: ModelUsage = { tokensIn: 0, tokensOut: 0, costUsd: "0.000000", estimated: true };

export function startRun(ports: RunPorts, input: TurnInput, send: Send): Run {
  const { clock, models, tokens } = ports;
  const { ref, turn, attempt } = input;
  const stopping = new AbortController();
  const { signal } = stopping;
  const writer = new FrameWriter(input, clock, (frame) => tokens.publish(ref, frame));
  const checkpoints = checkpointing(writer, clock, (part) =>
    send({ name: "checkpoint", data: { turn, attempt, ...part } }),
  );
  let frozen = false;
  let onThaw: (() => void) | null = null;
  const thawed = async (): Promise<void> => {
    while (frozen) await new Promise<void>((resolve) => (onThaw = resolve));
  };
  let call: Call | null = null;
  /** What the last call has used, once it has ended. */
  let ended: CallReport | null = null;

  const callReport = (usage: ModelUsage | null): CallReport | null => {
    if (call === null) return null;
    const { estimated, ...used } =
      usage ?? models.estimate(input, call.tokensIn, writer.published().text);
    const { first_token_ms, started_ms } = call;
    const total_ms = Math.max(0, Math.round(clock.now() - started_ms));
    return { usage: usageOf(used), estimated, first_token_ms, total_ms };
  };

  /** One call of the model; what it throws is a `ModelError` or the signal's reason. */
  const answer = async (messages: readonly ModelMessage[]): Promise<void> => {
    // An ending is being decided that knows of no call: none may begin behind its back (I12).
    await thawed();
    if (signal.aborted) return;
    const tokensIn = messages.reduce((sum, { text }) => sum + models.countTokens(text), 0);
    call = { started_ms: clock.now(), tokensIn, first_token_ms: null };
    ended = null;
    let finish: "stop" | "length" = "length";
    let usage: ModelUsage | null = null;
    for await (const delta of models.generate({ ...input, messages }, signal)) {
      if (signal.aborted) return;
      if (delta.type === "finish") {
        ({ finish, usage } = delta);
        break;
      }
      call.first_token_ms ??= Math.max(0, Math.round(clock.now() - call.started_ms));
      const room = limits.answer_chars_max - writer.chars;
      writer.write(delta.text.length > room ? cut(delta.text, room) : delta.text);
      checkpoints.look();
      if (delta.text.length > room) break;
    }
    await finishing(() => {
      ended = callReport(usage);
      if (ended === null) return Promise.resolve();
      const first = messages.find(({ role }) => role === "user");
      const title = input.titled || first === undefined ? null : ports.title(first.text);
      const data = { turn, attempt, ...writer.published(), finish, call: ended, title };
      return send({ name: "complete", data });
    });
  };

  /** Publishes what is left, unless it is frozen: then when it goes on. */
  const finishing = async (report: () => Promise<void>): Promise<void> => {
    await checkpoints.settled();
    await thawed();
    if (signal.aborted) return;
    writer.end();
    checkpoints.stop();
    await report();
  };

  const fail = (error: unknown): Promise<void> =>
    finishing(() => {
      const { code, detail } = reason(error);
      if (code === "internal") ports.report({ what: "an answer broke off", ref, error });
      const usage = error instanceof ModelError ? error.usage : null;
      const nothing = writer.chars === 0 ? no_usage : null;
      ended = callReport(usage ?? nothing);
      const data = { turn, attempt, ...writer.published(), code, detail, call: ended };
      return send({ name: "fail", data });
    });

  // Whoever runs a later attempt has only what is left of it.
  const deadline_ms = Date.parse(input.since) + limits.turn_first_token_ms;
  const endDeadline = clock.after(Math.max(0, deadline_ms - clock.now()), () => {
    if (writer.chars === 0) void send({ name: "expire", data: { turn, attempt } });
  });

  const run = async (): Promise<void> => {
    await Promise.resolve();
    for (let tries = 0; !signal.aborted; tries++) {
      try {
        const messages = await readPrompt(ports.texts, input);
        if (signal.aborted) return;
        return await answer(messages);
      } catch (error) {
        if (signal.aborted) return;
        const wait_ms = waitFor(error, tries);
        if (wait_ms === null || writer.chars > 0) return await fail(error);
        if (call !== null) {
          const { code, detail } = reason(error);
          const usage = error instanceof ModelError ? error.usage : null;
          const failed = callReport(usage ?? no_usage);
          // Until it is on the bill, an ending that comes first puts it there (I12).
          ended = failed;
          if (failed !== null) {
            const data = { turn, attempt, call: failed, code, detail };
            await send({ name: "retry", data }, () => (call = ended = null));
          }
        }
        await pause(ports, wait_ms, signal);
      }
    }
  };
  // `run` answers for every error of the world; one of our own must not end the process.
  run().catch((error: unknown) => ports.report({ what: "an effect failed", ref, error }));

  return {
    freeze() {
      frozen = true;
      writer.hold("ending");
      return { ...writer.published(), call: ended ?? callReport(null) };
    },
    thaw() {
      frozen = false;
      writer.release("ending");
      onThaw?.();
      onThaw = null;
    },
    stop() {
      stopping.abort();
      endDeadline();
      writer.stop();
      checkpoints.stop();
    },
  };
}

/** A call of the model that is under way. */
interface Call {
  readonly started_ms: number;
  readonly tokensIn: number;
  first_token_ms: number | null;
}

const usageOf = ({ tokensIn, tokensOut, costUsd }: Usage): Usage => ({
  tokensIn,
  tokensOut,
  costUsd,
});

function cut(text: string, room: number): string {
  const end = Math.max(0, room);
  const unit = text.charCodeAt(end - 1);
  return text.slice(0, unit >= 0xd800 && unit <= 0xdbff ? end - 1 : end);
}

/** How long to wait before the same is tried again; null when it shall not be. */
function waitFor(error: unknown, tries: number): number | null {
  const wait_ms = limits.model_retry_ms[tries];
  if (wait_ms === undefined) return null;
  if (error instanceof ModelError) {
    if (!error.retryable) return null;
    const asked_ms = Math.min(error.retry_after_ms ?? 0, limits.model_retry_after_ms_max);
    return Math.max(wait_ms, asked_ms);
  }
  return error instanceof AppError && error.code === "unavailable" ? wait_ms : null;
}

function reason(error: unknown): { code: AppError["code"] | ModelError["code"]; detail: string } {
  if (error instanceof ModelError || error instanceof AppError) {
    return { code: error.code, detail: error.message };
  }
  return { code: "internal", detail: "The answer could not be written." };
}

const pause = ({ clock }: RunPorts, ms: number, signal: AbortSignal): Promise<void> =>
  new Promise((resolve) => {
    const done = (): void => {
      cancel();
      signal.removeEventListener("abort", done);
      resolve();
    };
    const cancel = clock.after(ms, done);
    signal.addEventListener("abort", done);
  });
