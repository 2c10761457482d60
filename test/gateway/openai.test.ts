/** Programs that speak the OpenAI wire format, unchanged: the official client and the Vercel AI SDK. */
import { createOpenAICompatible } from "@ai-sdk/openai-compatible";
import { generateText, streamText } from "ai";
import OpenAI from "openai";
import { beforeAll, describe, expect, test } from "vitest";
import { MemoryLimiter } from "../../cache/memory-limiter.ts";
import { systemIds } from "../../schemas/ids.ts";
import { limits } from "../../schemas/limits.ts";
import { default_rates } from "../../schemas/rates.ts";
import { createGate } from "../support/model-server-gate.ts";
import { type Running, startRunning } from "./running.ts";

let running: Running;
beforeAll(async () => {
  running = await startRunning();
  return () => running.stop();
});

async function client(user = "program", options: { apiKey?: string } = {}): Promise<OpenAI> {
  const apiKey = options.apiKey ?? (await running.token(user));
  return new OpenAI({ apiKey, baseURL: `${running.gateway.url}/v1`, maxRetries: 0 });
}
const user = (content: string) => ({ role: "user", content }) as const;
const model = "scripted";
const state = async (id: string, who = "program"): Promise<Record<string, unknown>> => {
  const { body } = await running.http("GET", `/api/v1/conversations/${id}`, { user: who });
  return body;
};
const conversationOf = (id: string): string => id.replace(/^chatcmpl-/, "");

describe("the official client", () => {
  test("a whole answer, and the conversation that it was", async () => {
    const openai = await client();
    const { provider } = running.world;
    const before = provider.requests.length;
    const made = await openai.chat.completions.create({
      ...{ model, temperature: 0.25, max_completion_tokens: 99 },
      messages: [
        { role: "developer", content: "be brief" },
        user("hello"),
        { role: "assistant", content: "hi" },
        {
          role: "user",
          content: [
            { type: "text", text: "and " },
            { type: "text", text: "now" },
          ],
        },
      ],
    });
    const asked = provider.requests[before];
    expect(asked?.body).toMatchObject({ temperature: 0.25, max_tokens: 99 });
    expect(asked?.body.messages).toEqual([
      { role: "system", content: "be brief" },
      { role: "user", content: "hello" },
      { role: "assistant", content: "hi" },
      { role: "user", content: "and now" },
    ]);
    expect(made.choices[0]?.message).toMatchObject({ role: "assistant", content: asked?.text });
    expect(made.choices[0]?.finish_reason).toBe("stop");
    expect(made.usage?.total_tokens).toBe(
      (made.usage?.prompt_tokens ?? 0) + (made.usage?.completion_tokens ?? 0),
    );
    expect(made._request_id).toMatch(/^[0-9a-f]{32}$/);
    const id = conversationOf(made.id);
    expect(await state(id)).toMatchObject({ origin: "api", status: "archived" });
    const { body } = await running.http("GET", `/api/v1/conversations/${id}/messages`, {
      user: "program",
    });
    const items = body["items"] as { role: string; turn: string | null }[]; // as PROTOCOL.md
    expect(items.map(({ role }) => role)).toEqual([
      ...["system", "user", "assistant", "user", "assistant"],
    ]);
    // What the client brought is nobody's answer here; what was written here has its turn.
    expect(items.map(({ turn }) => turn !== null)).toEqual([false, false, false, false, true]);
    const list = async (query: string): Promise<unknown> =>
      (
        await running.http("GET", `/api/v1/conversations?status=archived${query}`, {
          user: "program",
        })
      ).body["items"];
    expect(await list("")).toEqual([]);
    expect(await list("&origin=api")).toMatchObject([{ id }]);
  });

  test("I5: a stream, chunk by chunk, with its usage", async () => {
    const openai = await client();
    const { provider } = running.world;
    provider.script({ tokens: ["one ", "two ", "three"], gate: true });
    provider.release(1);
    const stream = await openai.chat.completions.create({
      ...{ model, stream: true, stream_options: { include_usage: true } },
      messages: [user("count")],
    });
    let text = "";
    const finishes: unknown[] = [];
    let tokens = 0;
    for await (const chunk of stream) {
      const [choice] = chunk.choices;
      const delta = choice?.delta.content ?? "";
      text += delta;
      // Each word is released by the one before it: gathered, they would wait for ever.
      if (delta !== "" && text !== "one two three") provider.release(1);
      if (choice?.finish_reason) finishes.push(choice.finish_reason);
      tokens += chunk.usage?.total_tokens ?? 0;
    }
    expect([text, finishes]).toEqual(["one two three", ["stop"]]);
    expect(tokens).toBeGreaterThan(0);
  });

  test.each([true, false])("closing a request cancels its turn (stream: %s)", async (stream) => {
    const openai = await client("closing");
    const { provider } = running.world;
    provider.script({ tokens: ["never ", "finished"], fault: "stall", after: 1 });
    const words = `close me ${String(stream)}`;
    const gone = new AbortController();
    const asked = openai.chat.completions
      .create({ model, stream, messages: [user(words)] }, { signal: gone.signal })
      .then(async (answer) => {
        if ("controller" in answer) for await (const _ of answer);
      });
    asked.catch(() => {});
    const request = await provider.whenRequest(({ message }) => message === words);
    gone.abort();
    await provider.whenAborted((one) => one === request);
    await expect
      .poll(async () => {
        const { body } = await running.http("GET", "/api/v1/conversations", {
          user: "closing",
        });
        expect(body["items"]).toEqual([]);
        const listed = await running.http(
          "GET",
          "/api/v1/conversations?origin=api&status=archived",
          { user: "closing" },
        );
        return (listed.body["items"] as unknown[]).length;
      })
      .toBe(stream ? 1 : 2);
  });

  test("models: all, one, and one that is not", async () => {
    const openai = await client();
    const listed = await openai.models.list();
    expect(listed.data).toEqual([
      { id: model, object: "model", created: 0, owned_by: "openai-compatible" },
    ]);
    expect(await openai.models.retrieve(model)).toMatchObject({ id: model });
    await expect(openai.models.retrieve("gone/astray")).rejects.toThrow(OpenAI.NotFoundError);
  });

  test("refusals are the exceptions that it knows", async () => {
    const openai = await client();
    const ask = (more: object): Promise<unknown> =>
      openai.chat.completions.create({ model, messages: [user("hi")], ...more });
    await expect(ask({ model: "gpt-99" })).rejects.toMatchObject({
      ...{ constructor: OpenAI.NotFoundError, status: 404 },
      ...{ code: "model_not_found", param: "model", type: "invalid_request_error" },
    });
    const stranger = await client("x", { apiKey: "nonsense" });
    await expect(stranger.models.list()).rejects.toThrow(OpenAI.AuthenticationError);
    for (const [name, value] of [
      ["n", 2],
      ["tools", [{ type: "function", function: { name: "f" } }]],
      ["logprobs", true],
      ["response_format", { type: "json_object" }],
      ["stop", ["END"]],
    ] as const) {
      await expect(ask({ [name]: value }), name).rejects.toMatchObject({
        ...{ constructor: OpenAI.BadRequestError, code: "unsupported_parameter", param: name },
      });
    }
    await expect(ask({ temperature: 3 })).rejects.toThrow(OpenAI.BadRequestError);
    await expect(ask({ messages: [] })).rejects.toThrow(OpenAI.BadRequestError);
    const picture = [{ type: "image_url", image_url: { url: "data:," } }];
    await expect(ask({ messages: [{ role: "user", content: picture }] })).rejects.toThrow(
      /only parts of type text/,
    );
    // What changes nothing that its sender sees is ignored.
    await expect(ask({ user: "u", n: 1, tools: [], store: true })).resolves.toBeDefined();
  });

  test.each([true, false])("a provider that refuses is an error, stream: %s", async (stream) => {
    running.world.provider.script({ fault: 400 });
    const openai = await client();
    const asked = openai.chat.completions.create({ model, stream, messages: [user("no")] });
    await expect(asked).rejects.toMatchObject({ status: 502, code: "model_refused" });
  });

  test("a stream that breaks off in the middle says so", async () => {
    running.world.provider.script({ tokens: ["half ", "an "], fault: "cut", after: 2 });
    const openai = await client();
    const stream = await openai.chat.completions.create({
      ...{ model, stream: true, messages: [user("break")] },
    });
    let text = "";
    const read = async (): Promise<void> => {
      for await (const { choices } of stream) text += choices[0]?.delta.content ?? "";
    };
    await expect(read()).rejects.toMatchObject({ code: "model_stream_cut" });
    expect(text).toBe("half an ");
  });

  test("the same Idempotency-Key gets the same answer, asked of the provider once", async () => {
    const openai = await client();
    const { provider } = running.world;
    const ask = () =>
      openai.chat.completions.create(
        { model, messages: [user("only once")] },
        { headers: { "idempotency-key": "the very same" } },
      );
    const [one, two] = await Promise.all([ask(), ask()]);
    expect(two.id).toBe(one.id);
    expect(two.choices).toEqual(one.choices);
    expect(provider.requests.filter(({ message }) => message === "only once")).toHaveLength(1);
  });
});

describe("where limits hold", () => {
  /** A gateway that lets two commands in, and whose limiter believes it is `ahead_ms` later. */
  async function limited(options: { maxRetries?: number } = {}) {
    const time = { ahead_ms: 0 };
    const at = await running.another({
      rates: { ...default_rates, commands: 2 },
      limiter: new MemoryLimiter(() => Date.now() + time.ahead_ms),
    });
    const apiKey = await running.token(`limited-${systemIds()}`);
    const openai = new OpenAI({ apiKey, baseURL: `${at.url}/v1`, maxRetries: 0, ...options });
    const ask = (stream: boolean) =>
      openai.chat.completions.create({ model, stream, messages: [user("hi")] });
    for (let n = 0; n < 2; n++) await ask(false);
    return { time, ask };
  }

  test.each([true, false])("one too many is its RateLimitError, stream: %s", async (stream) => {
    const { ask } = await limited();
    const refused = await ask(stream).catch((error: unknown) => error);
    expect(refused).toBeInstanceOf(OpenAI.RateLimitError);
    if (!(refused instanceof OpenAI.RateLimitError)) throw refused;
    expect(refused).toMatchObject({
      ...{ status: 429, code: "rate_limited", type: "rate_limit_error", param: null },
      error: { message: expect.stringMatching(/try again in \d+ s/) },
    });
    const wait = Number(refused.headers.get("retry-after"));
    expect(wait).toBeGreaterThan(50);
    expect(wait).toBeLessThanOrEqual(60);
    expect(refused.headers.get("x-should-retry")).toBe("true");
    expect(refused.headers.get("ratelimit-policy")).toBe('"user";q=2;w=60');
    expect(refused.requestID).toMatch(/^[0-9a-f]{32}$/);
  });

  test("told to come again in a second, the client does, and is answered", async () => {
    const { time, ask } = await limited({ maxRetries: 1 });
    time.ahead_ms = 59_500;
    const { provider } = running.world;
    const before = provider.requests.length;
    const answer = await ask(false);
    expect("choices" in answer && answer.choices[0]?.message.content).toBe(
      provider.requests.at(-1)?.text,
    );
    expect(provider.requests.length).toBe(before + 1);
  });
});

test("whatever is refused under /v1 has the format's shape", async () => {
  const openai = await client();
  const shape = (type: string, code: string) => ({
    error: { message: expect.any(String), type, param: null, code },
  });
  const large = "x".repeat(limits.request_bytes_max);
  const asked = openai.chat.completions.create({ model, messages: [user(large)] });
  await expect(asked).rejects.toMatchObject({ status: 413, code: "too_large" });
  await expect(openai.files.list()).rejects.toThrow(OpenAI.NotFoundError);
  const token = { authorization: `Bearer ${await running.token("program")}` };
  const json = { "content-type": "application/json" };
  const completions = "/v1/chat/completions";
  const alias = "/api/v1/chat/completions";
  const known = { ...token, ...json };
  const plain = { ...token, "content-type": "text/plain" };
  const [invalid, unknown] = ["invalid_request_error", "authentication_error"];
  const cases: [string, string, RequestInit, number, object][] = [
    ["POST", completions, { headers: json }, 401, shape(unknown, "unauthenticated")],
    ["GET", "/v1/models", {}, 401, shape(unknown, "unauthenticated")],
    ["GET", "/v1/files", { headers: token }, 404, shape(invalid, "not_found")],
    ["PUT", completions, { headers: token }, 405, shape(invalid, "method_not_allowed")],
    ["POST", completions, { headers: known, body: "{" }, 400, shape(invalid, "bad_json")],
    ["POST", alias, { headers: known, body: "[]" }, 400, shape(invalid, "bad_request")],
    ["POST", alias, { headers: plain, body: "hi" }, 415, shape(invalid, "unsupported_media_type")],
  ];
  for (const [method, path, init, status, body] of cases) {
    const answer = await fetch(`${running.gateway.url}${path}`, { method, ...init });
    expect([method, path, answer.status]).toEqual([method, path, status]);
    expect(answer.headers.get("content-type")).toBe("application/json");
    expect(await answer.json()).toEqual(body);
  }
});

describe("the Vercel AI SDK", () => {
  const sdk = async () =>
    createOpenAICompatible({
      ...{ name: "colloquy", baseURL: `${running.gateway.url}/v1`, includeUsage: true },
      apiKey: await running.token("sdk"),
    })(model);

  test("generateText", async () => {
    const { text, usage, finishReason } = await generateText({
      ...{ model: await sdk(), instructions: "be kind", prompt: "generate [[say:kind words]]" },
    });
    expect([text, finishReason]).toEqual(["kind words", "stop"]);
    expect(usage.totalTokens).toBeGreaterThan(0);
  });

  test("streamText", async () => {
    const result = streamText({ model: await sdk(), prompt: "stream [[say:word by word]]" });
    let text = "";
    for await (const part of result.textStream) text += part;
    expect(text).toBe("word by word");
    expect(await result.finishReason).toBe("stop");
    expect((await result.usage).outputTokens).toBe(3);
  });
});

test("I5: a restart after the first word ends the stream, one before it is not seen", async () => {
  const openai = await client();
  const { provider } = running.world;
  const ask = (content: string) =>
    openai.chat.completions.create({ model, stream: true, messages: [user(content)] });
  provider.script({ tokens: ["spoken ", "lost"], gate: true }, { fault: "hang" });
  provider.release(1);
  const stream = await ask("spoken");
  const silent = ask("silent");
  await provider.whenRequest(({ message }) => message === "silent");
  let text = "";
  let conversation = "";
  const later = createGate();
  const read = (async (): Promise<void> => {
    for await (const { id, choices } of stream) {
      conversation = conversationOf(id);
      text += choices[0]?.delta.content ?? "";
      if (text !== "spoken " || choices[0]?.delta.content === "") continue;
      provider.script(
        { tokens: ["never ", "read"], gate: later },
        { tokens: ["once ", "only"], gate: later },
      );
      await running.world.worker();
      await running.worker.crash();
    }
  })();
  await expect(read).rejects.toMatchObject({ code: "turn_restarted" });
  expect(text).toBe("spoken ");
  // Nobody reads what was begun anew, so it ends there.
  const path = `/api/v1/conversations/${conversation}/messages`;
  const last = async (): Promise<unknown> => {
    const { body } = await running.http("GET", path, { user: "program" });
    return (body["items"] as { status: string }[] | undefined)?.at(-1)?.status;
  };
  await expect.poll(last).toBe("cancelled");
  later.release(Infinity);
  let whole = "";
  for await (const { choices } of await silent) whole += choices[0]?.delta.content ?? "";
  expect(["once only", "never read"]).toContain(whole);
});
