/** The effect that writes an answer, by a clock and a provider that the test moves. */
import { expect, test } from "vitest";
import { startRun } from "../../actors/conversation/effects.ts";
import type { NamedReport } from "../../actors/conversation/reports.ts";
import type { TurnInput } from "../../actors/conversation/turn-input.ts";
import { AppError } from "../../schemas/errors.ts";
import { limits } from "../../schemas/limits.ts";
import { type ModelDelta, ModelError } from "../../schemas/models.ts";
import type { TokenFrame } from "../../schemas/tokens.ts";
import { steppedClock } from "./stepped-clock.ts";

const usage = { tokensIn: 5, tokensOut: 6, costUsd: "0.000011", estimated: false };
const finish: ModelDelta = { type: "finish", finish: "stop", usage };
const say = (text: string): ModelDelta => ({ type: "text", text });
const away = (retry_after_ms: number | null = null): ModelError =>
  new ModelError("model_unavailable", "away", { retryable: true, retry_after_ms });

/** What one call of the model does: says these, waits at a gate, throws. */
type Step = ModelDelta | Error | "gate";

/** `since_ms`: when the turn's first attempt began, by the clock that begins at 0. */
function open(script: (call: number) => readonly Step[], since_ms = 0) {
  const clock = steppedClock();
  const frames: TokenFrame[] = [];
  const reports: NamedReport[] = [];
  const problems: string[] = [];
  const calls: { readonly at_ms: number; readonly signal: AbortSignal; closed: boolean }[] = [];
  const gates: (() => void)[] = [];
  const texts = { failures: 0 };
  const input: TurnInput = {
    ref: { tenant: "acme", kind: "conversation", id: "c" },
    ...{ turn: "t", message: "m", attempt: 1, owner: "w", titled: false, sampling: null },
    since: new Date(since_ms).toISOString(),
    ...{ provider: "p", model: "x", path: [{ message: "u", sequence: 1, role: "user" }] },
  };
  const ports: Parameters<typeof startRun>[0] = {
    texts: {
      async read() {
        if (texts.failures-- > 0) throw new AppError("unavailable", "away");
        return ["question"];
      },
      remember: () => undefined,
    },
    tokens: {
      publish: (_ref, frame) => void frames.push(frame),
      published: () => Promise.reject(new Error("an effect knows what it has published")),
    },
    models: {
      route: () => null,
      list: () => [],
      countTokens: (text) => text.length,
      estimate: (_route, tokensIn, text) => ({
        ...{ tokensIn, tokensOut: text.length, costUsd: "0.000000", estimated: true },
      }),
      async *generate(_request, signal) {
        const call = { at_ms: clock.now(), signal, closed: false };
        calls.push(call);
        try {
          for (const step of script(calls.length)) {
            if (step instanceof Error) throw step;
            if (step === "gate") await new Promise<void>((resolve) => gates.push(resolve));
            else yield step;
          }
        } finally {
          call.closed = true;
        }
      },
    },
    clock,
    title: (text) => `about ${text}`,
    report: ({ what, error }) => problems.push(`${what}: ${String(error)}`),
  };
  const run = startRun(ports, input, async (report) => void reports.push(report));
  /** Lets all that is due happen, and `ms` pass. */
  const pass = async (ms = 0): Promise<void> => {
    await new Promise((resolve) => setImmediate(resolve));
    clock.step(ms);
    await new Promise((resolve) => setImmediate(resolve));
  };
  return { run, pass, frames, reports, problems, calls, gates, texts };
}
const names = (reports: readonly NamedReport[]): string[] => reports.map(({ name }) => name);
const text = (frames: readonly TokenFrame[]): string => frames.map(({ d }) => d).join("");

test("I5: I12: what it reports is what it published, what was billed, and a title", async () => {
  const { pass, reports, frames, calls } = open(() => [say("He"), say("llo"), finish]);
  await pass(limits.flush_ms);
  const { estimated, ...used } = usage;
  expect(names(reports)).toEqual(["complete"]);
  expect(reports[0]?.data).toMatchObject({
    ...{ turn: "t", attempt: 1, text: "Hello", seq: frames.length, finish: "stop" },
    ...{ title: "about question", call: { usage: used, estimated } },
  });
  expect(text(frames)).toBe("Hello");
  expect(calls).toHaveLength(1);
});

test("I12: before the first token it asks again after 1, 2 and 4 s, then fails; each is reported", async () => {
  const { pass, reports, calls } = open(() => [away()]);
  for (let n = 0; n < 100; n++) await pass(100);
  expect(calls.map(({ at_ms }) => at_ms)).toEqual([0, 1_000, 3_000, 7_000]);
  expect(names(reports)).toEqual(["retry", "retry", "retry", "fail"]);
  expect(reports[3]?.data).toMatchObject({ code: "model_unavailable", text: "", seq: 0 });
  for (const { data } of reports) expect(data).toMatchObject({ call: { estimated: true } });
});

test("I7: an answer without a first word by its deadline says so; a later attempt has what is left", async () => {
  const { pass, reports, calls } = open(() => ["gate", say("late"), finish]);
  await pass(limits.turn_first_token_ms - 1);
  expect(reports).toEqual([]);
  await pass(1);
  expect(reports).toEqual([{ name: "expire", data: { turn: "t", attempt: 1 } }]);
  expect(calls).toHaveLength(1);

  const speaking = open(() => [say("word"), "gate"]);
  await speaking.pass(limits.turn_first_token_ms);
  expect(names(speaking.reports)).not.toContain("expire");

  const second = open(() => ["gate"], -40_000);
  await second.pass(limits.turn_first_token_ms - 40_000);
  expect(names(second.reports)).toEqual(["expire"]);
});

test("it waits as long as the provider asks, up to a limit", async () => {
  const waits = [5_000, limits.model_retry_after_ms_max * 10, null];
  const { pass, calls } = open((call) => [away(waits[call - 1] ?? null)]);
  for (let n = 0; n < 500; n++) await pass(100);
  const last_ms = 5_000 + limits.model_retry_after_ms_max;
  expect(calls.map(({ at_ms }) => at_ms)).toEqual([0, 5_000, last_ms, last_ms + 4_000]);
});

test("after the first token, or when it is of no use, it is not asked again", async () => {
  const cut = open(() => [say("half"), away()]);
  await cut.pass(60_000);
  expect(cut.calls).toHaveLength(1);
  expect(names(cut.reports)).toEqual(["fail"]);
  expect(cut.reports[0]?.data).toMatchObject({ text: "half", seq: 1 });

  const useless = open(() => [new ModelError("model_refused", "no", { retryable: false })]);
  await useless.pass(60_000);
  expect(useless.calls).toHaveLength(1);
  expect(useless.reports[0]).toMatchObject({ name: "fail", data: { code: "model_refused" } });
  expect(useless.problems).toEqual([]);
});

test("an error of our own becomes a report, and somebody is told", async () => {
  const { pass, reports, problems } = open(() => [new TypeError("ours")]);
  await pass(60_000);
  expect(reports[0]).toMatchObject({ name: "fail", data: { code: "internal" } });
  expect(problems).toEqual(["an answer broke off: TypeError: ours"]);
});

test("texts that cannot be read are read again, and no call is billed for that", async () => {
  const { pass, reports, texts, calls } = open(() => [say("ok"), finish]);
  texts.failures = 2;
  for (let n = 0; n < 50; n++) await pass(100);
  expect(calls.map(({ at_ms }) => at_ms)).toEqual([3_000]);
  expect(names(reports)).toEqual(["complete"]);
});

test("I11: an answer ends at its limit, never inside a pair, and the provider is left", async () => {
  const most = limits.answer_chars_max;
  for (const [before, rest, length] of [
    ["a".repeat(most - 2), "bcde", most],
    ["a".repeat(most - 1), "😀", most - 1],
    ["a".repeat(most), "b", most],
  ] as const) {
    const { pass, reports, calls, frames } = open(() => [say(before), say(rest), "gate", finish]);
    await pass(limits.flush_ms);
    await pass();
    const complete = reports.find(({ name }) => name === "complete");
    expect(complete?.data).toMatchObject({ finish: "length", call: { estimated: true } });
    expect(text(frames)).toHaveLength(length);
    expect(complete?.data).toMatchObject({ text: text(frames) });
    expect(calls[0]?.closed).toBe(true);
  }
});

test("I5: frozen it shows nothing and ends nothing; thawed it goes on from there", async () => {
  const { run, pass, reports, frames, gates } = open(() => [say("a"), "gate", say("b"), finish]);
  await pass(limits.flush_ms);
  expect(run.freeze()).toMatchObject({ text: "a", seq: 1, call: { estimated: true } });
  gates[0]?.();
  await pass(1_000);
  expect(text(frames)).toBe("a");
  expect(names(reports)).toEqual([]);
  run.thaw();
  await pass(limits.flush_ms);
  expect(text(frames)).toBe("ab");
  expect(reports.at(-1)).toMatchObject({ name: "complete", data: { text: "ab", seq: 2 } });
});

test("I5: stopped it shows and reports nothing more, whatever the provider still says", async () => {
  const { run, pass, reports, frames, gates, calls } = open(() => [
    ...[say("a"), "gate" as const, say("b"), finish],
  ]);
  await pass(limits.flush_ms);
  run.stop();
  expect(calls[0]?.signal.aborted).toBe(true);
  gates[0]?.();
  await pass(60_000);
  expect(text(frames)).toBe("a");
  expect(reports).toEqual([]);
});

test("I12: stopped in the commit that began it, it calls no model", async () => {
  const { run, pass, calls, reports } = open(() => [say("a"), finish]);
  run.stop();
  await pass(60_000);
  expect(calls).toHaveLength(0);
  expect(reports).toEqual([]);
});
