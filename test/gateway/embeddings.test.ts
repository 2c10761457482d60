/** Embeddings in the OpenAI wire format: the official client against a gateway and a scripted provider. */
import OpenAI from "openai";
import { beforeAll, describe, expect, test } from "vitest";
import type { Gateway } from "../../gateway/server.ts";
import { createModels } from "../../models/registry.ts";
import { limits } from "../../schemas/limits.ts";
import { systemClock } from "../../schemas/ids.ts";
import { type ModelServer, startModelServer } from "../support/model-server.ts";
import { vectorOf } from "../support/model-server-embeddings.ts";
import { type Running, startRunning } from "./running.ts";

let running: Running;
let provider: ModelServer;
let gateway: Gateway;
beforeAll(async () => {
  running = await startRunning();
  provider = await startModelServer();
  const openai = { apiKey: "sk-of-the-provider", baseUrl: provider.url, model: null };
  const models = createModels({ openai, clock: systemClock });
  await models.listed();
  gateway = await running.another({ embed: models.embed });
  return async () => {
    await running.stop();
    await models.close();
    await provider.close();
  };
});

const model = "text-embedding-3-small";
let asked = 0;
/** The official client; by default one whose answers are awaited in the order of asking. */
async function client(options: { user?: string; at?: Gateway } = {}): Promise<OpenAI> {
  const { user = "program", at = gateway } = options;
  return new OpenAI({
    ...{ apiKey: await running.token(user), baseURL: `${at.url}/v1`, maxRetries: 0 },
  });
}
const next = () => provider.whenEmbedding((asked += 1));

async function post(body: unknown, role?: "viewer"): Promise<Response> {
  return fetch(`${gateway.url}/v1/embeddings`, {
    method: "POST",
    headers: {
      authorization: `Bearer ${await running.token("curl", "acme", 60, role)}`,
      "content-type": "application/json",
    },
    body: JSON.stringify(body),
  });
}

describe("the official client", () => {
  test("one text, and base64 by default", async () => {
    const openai = await client();
    const made = await openai.embeddings.create({ model, input: "one" });
    const { body, headers } = await next();
    expect(body).toEqual({ model, input: "one", encoding_format: "base64" });
    expect(headers.authorization).toBe("Bearer sk-of-the-provider");
    expect(made).toMatchObject({ object: "list", model, usage: { prompt_tokens: 1 } });
    expect(made.data.map(({ embedding }) => Array.from(embedding))).toEqual([vectorOf("one")]);
  });

  test("many texts, in their order, with so many dimensions", async () => {
    const openai = await client();
    const input = ["a [[reversed]]", "bb", "ccc"];
    const made = await openai.embeddings.create({ model, input, dimensions: 7, user: "me" });
    // Whom it is for is nobody's business but ours.
    expect((await next()).body).toEqual({
      ...{ model, input, dimensions: 7, encoding_format: "base64" },
    });
    expect(made.data.map(({ embedding }) => Array.from(embedding))).toEqual(
      input.map((one) => vectorOf(one, 7)),
    );
    expect(made.data.map(({ index }) => index)).toEqual([0, 1, 2]);
  });

  test.each([
    ["floats", "float"],
    ["floats", "base64"],
    ["base64", "float"],
    ["base64", "base64"],
  ] as const)("a provider that gives only %s is asked for %s", async (given, encoding_format) => {
    const openai = await client();
    const input = `always [[${given}]]`;
    const { data } = await openai.embeddings.create({ model, input, encoding_format });
    await next();
    const wanted = vectorOf(input);
    const packed = Buffer.from(new Float32Array(wanted).buffer).toString("base64");
    expect(data[0]?.embedding).toEqual(encoding_format === "float" ? wanted : packed);
  });

  test("lists of tokens", async () => {
    const openai = await client();
    const one = await openai.embeddings.create({ model, input: [1, 2, 3] });
    await next();
    const two = await openai.embeddings.create({ model, input: [[1, 2, 3], [4]] });
    await next();
    expect(one.data.map(({ embedding }) => Array.from(embedding))).toEqual([vectorOf([1, 2, 3])]);
    expect(two.data.map(({ embedding }) => Array.from(embedding))).toEqual([
      ...[vectorOf([1, 2, 3]), vectorOf([4])],
    ]);
  });

  test.each([
    ["[[fault:404]]", 404, "model_not_found", OpenAI.NotFoundError],
    ["[[fault:429 retry-after=7]]", 429, "model_rate_limited", OpenAI.RateLimitError],
    ["[[fault:400]]", 502, "model_refused", OpenAI.InternalServerError],
    ["[[fault:500]]", 502, "model_unavailable", OpenAI.InternalServerError],
    ["[[fewer]]", 502, "model_bad_answer", OpenAI.InternalServerError],
    ["[[no-json]]", 502, "model_bad_answer", OpenAI.InternalServerError],
  ])("a provider that answers %s", async (input, status, code, constructor) => {
    const openai = await client();
    const failed = await openai.embeddings
      .create({ model, input })
      .catch((error: unknown) => error);
    await next();
    expect(failed).toMatchObject({ constructor, status, code });
    if (!(failed instanceof OpenAI.APIError)) throw failed;
    expect(failed.headers?.get("retry-after")).toBe(status === 429 ? "7" : null);
    expect(String(failed)).not.toContain("sk-of");
  });

  test("I11: an answer without an end is given up", async () => {
    const openai = await client();
    const asking = openai.embeddings.create({ model, input: "[[flood]]" });
    await expect(asking).rejects.toMatchObject({ code: "model_bad_answer" });
    expect(await (await next()).over).toBe(false);
  });

  test("closing the request closes the provider's connection", async () => {
    const openai = await client();
    const gone = new AbortController();
    const asking = openai.embeddings.create({ model, input: "[[hang]]" }, { signal: gone.signal });
    asking.catch(() => {});
    const { over } = await next();
    gone.abort();
    expect(await over).toBe(false);
    await expect(asking).rejects.toThrow(OpenAI.APIUserAbortError);
  });

  test("I10: a tenant that asks for too many at once is told to come again", async () => {
    const openai = await client({ user: "greedy" });
    const gone = new AbortController();
    const most = limits.embeddings_running_per_tenant_max;
    const waiting = Array.from({ length: most }, () =>
      openai.embeddings.create({ model, input: "[[hang]]" }, { signal: gone.signal }),
    );
    for (const one of waiting) one.catch(() => {});
    const reached = await Promise.all(waiting.map(() => next()));
    const more = openai.embeddings.create({ model, input: "one more" });
    await expect(more).rejects.toMatchObject({ status: 429, code: "tenant_busy" });
    const other = await running.token("ann", "globex");
    const theirs = new OpenAI({ apiKey: other, baseURL: `${gateway.url}/v1`, maxRetries: 0 });
    await expect(theirs.embeddings.create({ model, input: "theirs" })).resolves.toBeDefined();
    await next();
    gone.abort();
    await Promise.all(reached.map(({ over }) => over));
    await expect.poll(() => openai.embeddings.create({ model, input: "now" })).toBeDefined();
    await next();
  });

  test("where no provider is configured, that is said, once", async () => {
    const openai = await client({ at: running.gateway });
    const asking = openai.embeddings.create({ model, input: "one" });
    await expect(asking).rejects.toMatchObject({
      ...{ status: 501, code: "not_configured", type: "server_error" },
    });
    const failed = await asking.catch((error: unknown) => error);
    if (!(failed instanceof OpenAI.APIError)) throw failed;
    expect(failed.headers?.get("x-should-retry")).toBe("false");
  });
});

test.each([
  ["nothing", {}],
  ["no text", { model, input: "" }],
  ["no texts", { model, input: [] }],
  ["another encoding", { model, input: "a", encoding_format: "hex" }],
  ["too many", { model, input: Array.from({ length: 2_049 }, () => "a") }],
  ["both kinds", { model, input: ["a", 1] }],
])("what is not a request is refused before it costs anything: %s", async (_, body) => {
  const answer = await post(body);
  expect(answer.status).toBe(400);
  expect(await answer.json()).toMatchObject({ error: { code: "bad_request" } });
});

test("so is one that is too long, and one of whoever may only read", async () => {
  const long = await post({ model, input: "a".repeat(limits.embeddings_bytes_max) });
  expect([long.status, (await long.json()).error.code]).toEqual([413, "too_large"]);
  const viewer = await post({ model, input: "a" }, "viewer");
  expect([viewer.status, (await viewer.json()).error.code]).toEqual([403, "forbidden"]);
});
