import { afterEach, expect, test } from "vitest";
import { systemClock } from "../../schemas/ids.ts";
import { createModels, type ModelRegistry } from "../../models/registry.ts";
import { startModelServer, type ModelServer } from "../support/model-server.ts";

const ends: (() => Promise<void>)[] = [];
afterEach(async () => {
  for (const end of ends.splice(0).toReversed()) await end();
});

function models(openai: Parameters<typeof createModels>[0]["openai"]): ModelRegistry {
  const registry = createModels({ openai, clock: systemClock });
  ends.push(() => registry.close());
  return registry;
}

async function server(): Promise<ModelServer> {
  const started = await startModelServer();
  ends.push(() => started.close());
  return started;
}

const builtin = { provider: "builtin", model: "builtin-extractive" };

test("with nothing configured the built-in answerer is the default and the only one", async () => {
  const registry = models(null);
  await registry.listed();
  expect(registry.route(null)).toEqual(builtin);
  expect(registry.route("builtin-extractive")).toEqual(builtin);
  expect(registry.route("gpt-4o")).toBeNull();
  expect(registry.list()).toEqual([{ id: "builtin-extractive", provider: "builtin" }]);
});

test("a configured model is the default at once, the provider's list adds names", async () => {
  const { url } = await server();
  const registry = models({ apiKey: "k", baseUrl: url, model: "mine" });
  expect(registry.route(null)).toEqual({ provider: "openai", model: "mine" });
  expect(registry.route("scripted-2")).toBeNull();
  await registry.listed();
  expect(registry.route("scripted-2")).toEqual({ provider: "openai", model: "scripted-2" });
  expect(registry.route("builtin-extractive")).toEqual(builtin);
  expect(registry.route("other")).toBeNull();
  expect(registry.list().map(({ id }) => id)).toEqual([
    "mine",
    "scripted-1",
    "scripted-2",
    "builtin-extractive",
  ]);
});

test("without COLLOQUY_MODEL the default is the first chat model of the list", async () => {
  const scripted = await server();
  scripted.models = ["text-embedding-3-small", "qwen3:8b", "llama3"];
  const registry = models({ apiKey: null, baseUrl: scripted.url, model: null });
  await registry.listed();
  expect(registry.route(null)).toEqual({ provider: "openai", model: "qwen3:8b" });
  for (let n = 0; n < 5; n++) registry.list();
  expect(scripted.listed()).toBe(1);
});

test("when the list cannot be had, the configured name still works", async () => {
  const scripted = await server();
  scripted.models = 500;
  const registry = models({ apiKey: "k", baseUrl: scripted.url, model: "mine" });
  await registry.listed();
  expect(registry.route("mine")).toEqual({ provider: "openai", model: "mine" });
  expect(registry.list().map(({ id }) => id)).toEqual(["mine", "builtin-extractive"]);
});

test("a call of a provider that is not configured here fails, it does not fall back", async () => {
  const registry = models(null);
  const request = { provider: "openai", model: "gpt-4o", messages: [] };
  const next = registry
    .generate(request, new AbortController().signal)
    [Symbol.asyncIterator]()
    .next();
  await expect(next).rejects.toMatchObject({ code: "model_not_found", retryable: false });
});

test("I12: a lost call is estimated at its model's price", () => {
  const registry = models(null);
  expect(
    registry.estimate({ provider: "openai", model: "gpt-4o" }, 1_000, "x".repeat(400)),
  ).toEqual({
    tokensIn: 1_000,
    tokensOut: 100,
    costUsd: "0.003500",
    estimated: true,
  });
  expect(registry.estimate(builtin, 1_000, "x").costUsd).toBe("0.000000");
});
