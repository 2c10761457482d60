/**
 * The models that this process can call, and which one a wish means. A name is known when it is the
 * built-in answerer's, when it is configured, or when the provider lists it; the list is fetched in
 * the background, so that naming a model never waits for a network.
 *
 * The default, when no model is wished: COLLOQUY_MODEL; without it `gpt-4o-mini` for OpenAI's own
 * address (its list holds dozens of models in no useful order), and for any other base URL the first
 * chat model that the server lists, since such a server mostly has one. Until that list is here,
 * and with nothing configured, it is the built-in answerer.
 */
import type { Clock } from "../schemas/ids.ts";
import {
  type Embed,
  ModelError,
  type ModelRequest,
  type ModelRoute,
  type Models,
} from "../schemas/models.ts";
import { builtin_model, builtin_provider, generateBuiltin } from "./builtin.ts";
import { createOpenAi, type OpenAiConfig } from "./openai-compatible.ts";
import { costUsd } from "./prices.ts";
import { countTokens } from "./token-count.ts";

const openai_provider = "openai";
const openai_default_url = "https://api.openai.com/v1";
const openai_default_model = "gpt-4o-mini";
/** The provider's list is asked for again when it is this old and somebody asks. */
const list_age_ms = 10 * 60 * 1000;
/** A list that could not be had is asked for again after this. */
const list_retry_ms = 30_000;
const list_timeout_ms = 5_000;
/** Models that a provider lists but that do not chat; they can be named, but are no default. */
const not_chat =
  /embed|whisper|tts|audio|dall-e|image|moderation|rerank|transcribe|realtime|\bbge\b/i;

export interface ModelsConfig {
  /** `null`: nothing is configured. `baseUrl: null` is OpenAI's own. */
  readonly openai: {
    readonly apiKey: string | null;
    readonly baseUrl: string | null;
    readonly model: string | null;
  } | null;
  readonly clock: Clock;
  /** Time-outs other than those of schemas/limits.ts, for tests. */
  readonly timeouts?: Pick<OpenAiConfig, "first_token_ms" | "stall_ms" | "connect_ms">;
}

export interface ModelRegistry extends Models {
  /** Null where there is no provider: the built-in answerer computes no embeddings. */
  readonly embed: Embed | null;
  /** Resolves when the provider's list was tried once (at most some seconds); never rejects. */
  listed(): Promise<void>;
  /** Closes every connection to a provider. */
  close(): Promise<void>;
}

/** The ids that a provider lists, fetched when wanted and kept. */
function modelList(fetch: (signal: AbortSignal) => Promise<string[]>, clock: Clock) {
  let ids: ReadonlySet<string> = new Set<string>();
  let next_ms = 0;
  let running: Promise<void> | null = null;
  const ending = new AbortController();

  async function load(): Promise<void> {
    const late = new AbortController();
    const cancel = clock.after(list_timeout_ms, () => late.abort());
    try {
      ids = new Set(await fetch(AbortSignal.any([late.signal, ending.signal])));
      next_ms = clock.now() + list_age_ms;
    } catch {
      // Many servers have no list, or are just starting; the configured names still work.
      next_ms = clock.now() + list_retry_ms;
    } finally {
      cancel();
      running = null;
    }
  }
  /** Begins a fetch when the list is old; returns the one that runs. */
  function refresh(): Promise<void> {
    if (running === null && !ending.signal.aborted && clock.now() >= next_ms) running = load();
    return running ?? Promise.resolve();
  }
  return {
    ids(): ReadonlySet<string> {
      void refresh();
      return ids;
    },
    refresh,
    close: () => ending.abort(),
  };
}

/** Everything that `models/` gives to the rest. */
export function createModels(config: ModelsConfig): ModelRegistry {
  const { clock, openai } = config;
  const baseUrl = openai?.baseUrl || openai_default_url;
  const provider =
    openai === null
      ? null
      : createOpenAi({ apiKey: openai.apiKey, baseUrl, clock, ...config.timeouts });
  const list = provider === null ? null : modelList(provider.models, clock);
  const configured =
    openai === null
      ? null
      : (openai.model ??
        (new URL(baseUrl).hostname === "api.openai.com" ? openai_default_model : null));
  const listed = list?.refresh() ?? Promise.resolve();

  const builtin: ModelRoute = { provider: builtin_provider, model: builtin_model };
  const external = (model: string): ModelRoute => ({ provider: openai_provider, model });

  function standard(): ModelRoute {
    if (list === null) return builtin;
    if (configured !== null) return external(configured);
    for (const id of list.ids()) if (!not_chat.test(id)) return external(id);
    return builtin;
  }

  function estimate(route: ModelRoute, tokensIn: number, textOut: string) {
    const tokensOut = countTokens(textOut);
    const free = route.provider === builtin_provider;
    const cost = free ? "0.000000" : costUsd(route.model, tokensIn, tokensOut);
    return { tokensIn, tokensOut, costUsd: cost, estimated: true };
  }

  return {
    route(model) {
      if (model === null) return standard();
      if (model === builtin_model) return builtin;
      if (list === null) return null;
      return model === configured || list.ids().has(model) ? external(model) : null;
    },
    list() {
      const names = new Map([[standard().model, standard().provider]]);
      for (const id of list?.ids() ?? []) if (!names.has(id)) names.set(id, openai_provider);
      if (!names.has(builtin_model)) names.set(builtin_model, builtin_provider);
      return [...names].map(([id, name]) => ({ id, provider: name }));
    },
    generate(request: ModelRequest, signal) {
      if (request.provider === builtin_provider) return generateBuiltin(request, signal);
      if (request.provider === openai_provider && provider !== null) {
        return provider.generate(request, signal);
      }
      // A turn begun under another configuration, taken over by this process.
      return failing(`No provider "${request.provider}" is configured here.`);
    },
    embed: provider === null ? null : (request, signal) => provider.embed(request, signal),
    estimate,
    countTokens,
    listed: () => listed,
    async close() {
      list?.close();
      await provider?.close();
    },
  };
}

// oxlint-disable-next-line require-yield -- the port is an iterable that throws, not a throw
async function* failing(message: string): AsyncGenerator<never, void, void> {
  throw new ModelError("model_not_found", message, { retryable: false });
}
