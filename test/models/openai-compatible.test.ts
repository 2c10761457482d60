/** The OpenAI adapter against the scripted server, over real HTTP: every fault, and what it becomes. */
import { createServer } from "node:net";
import { afterEach, describe, expect, test } from "vitest";
import { systemClock } from "../../schemas/ids.ts";
import { ModelError, type ModelDelta, type ModelUsage } from "../../schemas/models.ts";
import { createOpenAi, type OpenAiConfig } from "../../models/openai-compatible.ts";
import type { Answer } from "../support/model-server-answer.ts";
import { createGate } from "../support/model-server-gate.ts";
import { startModelServer } from "../support/model-server.ts";

const ends: (() => Promise<void>)[] = [];
afterEach(async () => {
  for (const end of ends.splice(0).toReversed()) await end();
});

const secret = "sk-test-0123456789abcdef";

async function setUp(more: Partial<OpenAiConfig> = {}) {
  const server = await startModelServer();
  ends.push(() => server.close());
  const config = { apiKey: secret, baseUrl: server.url, clock: systemClock, ...more };
  const provider = createOpenAi(config);
  ends.push(() => provider.close());
  const signal = new AbortController();
  const generate = (text = "hello there", abort = signal.signal) =>
    provider.generate(
      { provider: "openai", model: "gpt-4o-mini", messages: [{ role: "user", text }] },
      abort,
    );
  return { server, provider, generate, signal };
}

interface Outcome {
  text: string;
  finish: string | null;
  usage: ModelUsage | null;
  error: ModelError | null;
}

async function collect(deltas: AsyncIterable<ModelDelta>): Promise<Outcome> {
  const outcome: Outcome = { text: "", finish: null, usage: null, error: null };
  try {
    for await (const delta of deltas) {
      if (delta.type === "text") {
        expect(delta.text).not.toBe("");
        outcome.text += delta.text;
      } else {
        expect(outcome.finish).toBeNull();
        outcome.finish = delta.finish;
        outcome.usage = delta.usage;
      }
    }
  } catch (error) {
    if (!(error instanceof ModelError)) throw error;
    outcome.error = error;
  }
  return outcome;
}

describe("an answer", () => {
  test("streams its tokens and the provider's own usage", async () => {
    const { server, generate } = await setUp();
    const outcome = await collect(generate());
    expect(outcome).toMatchObject({ finish: "stop", error: null });
    expect(outcome.text).toBe(server.requests[0]?.text);
    // 2 in at 0.15, 8 out at 0.60 dollars a million: 5.1 micro-dollars.
    expect(outcome.usage).toEqual({
      tokensIn: 2,
      tokensOut: 8,
      costUsd: "0.000005",
      estimated: false,
    });
    expect(server.requests[0]?.headers.authorization).toBe(`Bearer ${secret}`);
    expect(server.requests[0]?.body.include_usage).toBe(true);
  });

  const shapes: [string, Answer][] = [
    [
      "one byte a write, through UTF-8 sequences",
      { tokens: ["你好", "，世", "界😀", "é"], split_bytes: 1 },
    ],
    ["CRLF line ends", { tokens: ["a", " b"], crlf: true, split_bytes: 7 }],
    ["no [DONE]", { tokens: ["a", " b"], done: false }],
    ["all in one write", { tokens: ["a", " b", " c"], burst: true }],
    ["reasoning before it", { tokens: ["a"], reasoning: ["hm ", "so "] }],
    ["line breaks and quotes in it", { tokens: ["a\n\n", 'data: "b"\r\n', "\u2028"] }],
  ];
  test.each(shapes)("is whole with %s", async (_, answer) => {
    const { server, generate } = await setUp();
    server.script(answer);
    const outcome = await collect(generate());
    expect(outcome.error).toBeNull();
    expect(outcome.text).toBe(answer.tokens?.join(""));
    expect(outcome.finish).toBe("stop");
    expect(outcome.usage?.estimated).toBe(false);
  });

  test("I12: without usage is counted by us, and says so", async () => {
    const { server, generate } = await setUp();
    server.script({ tokens: ["four", "four"], usage: false });
    const outcome = await collect(generate());
    expect(outcome.usage).toMatchObject({ tokensOut: 2, estimated: true });
  });

  test("that reached the provider's limit ends with length", async () => {
    const { server, generate } = await setUp();
    server.script({ finish: "length" });
    expect((await collect(generate())).finish).toBe("length");
  });

  test("ended by a content filter is refused, with its usage", async () => {
    const { server, generate } = await setUp();
    server.script({ finish: "content_filter" });
    const { error } = await collect(generate());
    expect(error).toMatchObject({
      code: "model_refused",
      retryable: false,
      usage: { tokensOut: 8 },
    });
  });

  test("I11: longer than allowed is cut there, never inside a character", async () => {
    const { server, generate } = await setUp();
    server.script({
      tokens: ["x", ..."😀".repeat(5).split(" ")].concat(Array(9).fill("😀".repeat(30_000))),
      burst: true,
    });
    const outcome = await collect(generate());
    expect(outcome.finish).toBe("length");
    expect(outcome.text.length).toBe(399_999);
    expect(outcome.text.isWellFormed()).toBe(true);
  });

  test("uses its connection again", async () => {
    const { server, generate } = await setUp();
    // `finish` does not wait for the response's own end, so the next call may open a second one.
    for (let n = 0; n < 8; n++) await collect(generate());
    expect(await server.connections()).toBeLessThanOrEqual(2);
  });

  test.each(["", "/", "//"])("comes from a base URL that ends in %j", async (end) => {
    const server = await startModelServer();
    ends.push(() => server.close());
    const provider = createOpenAi({ apiKey: null, baseUrl: server.url + end, clock: systemClock });
    ends.push(() => provider.close());
    expect(await provider.models(new AbortController().signal)).toEqual([
      "scripted-1",
      "scripted-2",
    ]);
  });
});

describe("a failure", () => {
  const rows: [string, Answer, string, boolean][] = [
    ["400", { fault: 400 }, "model_refused", false],
    ["401", { fault: 401 }, "model_refused", false],
    ["403", { fault: 403 }, "model_refused", false],
    ["404", { fault: 404 }, "model_not_found", false],
    ["408", { fault: 408 }, "model_timeout", true],
    ["429", { fault: 429 }, "model_rate_limited", true],
    ["500", { fault: 500 }, "model_unavailable", true],
    ["503", { fault: 503 }, "model_unavailable", true],
    ["wrong content type", { fault: "content-type" }, "model_bad_answer", false],
    ["empty stream", { fault: "empty" }, "model_stream_cut", true],
    ["malformed chunk", { fault: "malformed" }, "model_bad_answer", false],
    ["error in mid-stream", { fault: "error" }, "model_unavailable", true],
    ["cut in mid-stream", { fault: "cut", after: 3 }, "model_stream_cut", true],
    ["early end", { fault: "end", after: 3 }, "model_stream_cut", true],
    ["endless line", { fault: "flood" }, "model_bad_answer", false],
  ];
  test.each(rows)("%s", async (_, answer, code, retryable) => {
    const { server, generate } = await setUp();
    server.script(answer);
    const { error, finish } = await collect(generate());
    expect(finish).toBeNull();
    expect(error).toMatchObject({ code, retryable });
  });

  test("I12: a cut stream keeps its partial text and an estimate of what it used", async () => {
    const { server, generate } = await setUp();
    server.script({ tokens: ["abcd", "efgh", "ijkl", "mnop"], fault: "cut", after: 3 });
    const { text, error } = await collect(generate());
    expect(text).toBe("abcdefghijkl");
    expect(error?.usage).toMatchObject({ tokensOut: 3, estimated: true });
  });

  test.each([
    ["2", 2_000],
    ["0", 0],
    ["soon", undefined],
  ])("Retry-After %s is told", async (header, wait) => {
    const { server, generate } = await setUp();
    server.script({ fault: 429, retry_after: header });
    expect((await collect(generate())).error?.retry_after_ms ?? undefined).toBe(wait);
  });
  test("a Retry-After that is a date is told as what is left until then", async () => {
    const { server, generate } = await setUp();
    const until = Math.floor(Date.now() / 1_000) * 1_000 + 20_000;
    server.script({ fault: 429, retry_after: new Date(until).toUTCString() });
    const wait = (await collect(generate())).error?.retry_after_ms ?? 0;
    expect(wait).toBeLessThanOrEqual(20_000);
    expect(wait).toBeGreaterThanOrEqual(until - Date.now());
  });

  test("a hung request, a stall: time-outs, and the connection is closed", async () => {
    const { server, generate } = await setUp({ first_token_ms: 150, stall_ms: 100 });
    server.script({ fault: "hang" }, { fault: "stall", after: 2, tokens: ["a", "b", "c"] });
    expect((await collect(generate())).error).toMatchObject({ code: "model_timeout", usage: null });
    await server.whenAborted(1);
    const stalled = await collect(generate());
    expect(stalled.text).toBe("ab");
    expect(stalled.error).toMatchObject({
      code: "model_timeout",
      retryable: true,
      usage: { tokensOut: 1 },
    });
    await server.whenAborted(2);
  });

  test("nobody listens: unavailable", async () => {
    const socket = createServer();
    const port = await new Promise<number>((resolve) =>
      socket.listen(0, "127.0.0.1", () => {
        const address = socket.address();
        resolve(typeof address === "object" && address !== null ? address.port : 0);
      }),
    );
    await new Promise((resolve) => socket.close(resolve));
    const { generate } = await setUp({ baseUrl: `http://127.0.0.1:${port}/v1` });
    expect((await collect(generate())).error).toMatchObject({
      code: "model_unavailable",
      retryable: true,
    });
  });

  test("no error tells the key, not even a part of it", async () => {
    const { server, generate } = await setUp();
    for (const status of [400, 401, 429, 500]) {
      server.script({
        fault: status,
        error_message: `Incorrect key: ${secret}, sk-te***cdef Bearer ${secret}`,
      });
      const { error } = await collect(generate());
      expect(error?.message).not.toContain("0123456789");
      expect(error?.message).not.toContain("cdef");
    }
  });
});

describe("an abort", () => {
  test("in mid-stream closes the provider's connection and throws its reason", async () => {
    const { server, generate, signal } = await setUp();
    const gate = createGate();
    server.script({ gate, tokens: ["one", "two", "three"] });
    const deltas = generate()[Symbol.asyncIterator]();
    gate.release(1);
    expect(await deltas.next()).toMatchObject({ value: { text: "one" } });
    const waiting = deltas.next();
    const reason = new Error("enough");
    signal.abort(reason);
    await expect(waiting).rejects.toBe(reason);
    expect((await server.whenAborted()).sent).toBe(1);
  });

  test("before the headers closes the connection too", async () => {
    const { server, generate, signal } = await setUp();
    server.script({ fault: "hang" });
    const waiting = generate().next();
    await server.whenRequest();
    signal.abort(new Error("enough"));
    await expect(waiting).rejects.toThrow("enough");
    await server.whenAborted();
  });

  test("beforehand asks nothing", async () => {
    const { server, generate } = await setUp();
    await expect(generate("x", AbortSignal.abort(new Error("no"))).next()).rejects.toThrow("no");
    expect(server.requests).toHaveLength(0);
  });

  test("a consumer that stops reading closes the connection", async () => {
    const { server, generate } = await setUp();
    const gate = createGate();
    server.script({ gate });
    gate.release(1);
    for await (const _ of generate()) break;
    await server.whenAborted();
  });
});
