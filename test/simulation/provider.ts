/** A model that answers, slowly or at once, fails before or after its first word, or never answers. */
import { type ModelDelta, ModelError, type Models } from "../../schemas/models.ts";
import { limits } from "../../schemas/limits.ts";
import type { Random } from "./random.ts";
import type { Life, Schedule } from "./schedule.ts";
import { delta_chars_max } from "./stored.ts";

/** A call that was begun. */
export interface ModelCall {
  readonly worker: string;
  readonly turn: string;
  readonly attempt: number;
}

export interface Provider {
  readonly calls: readonly ModelCall[];
  modelsFor(life: Life): Models;
}

export function createProvider(
  schedule: Schedule,
  random: Random,
  failing: () => number,
): Provider {
  const calls: ModelCall[] = [];

  async function* generate(
    life: Life,
    asked: ModelCall,
    text: string,
    signal: AbortSignal,
  ): AsyncGenerator<ModelDelta> {
    calls.push(asked);
    const wait = (ms: number): Promise<void> =>
      new Promise((resolve) => {
        schedule.after(ms, life, "model", resolve);
        signal.addEventListener("abort", () => resolve(), { once: true });
      });
    const fail = (): ModelError =>
      new ModelError("model_unavailable", "simulated", { retryable: random.chance(0.7) });
    await wait(random.between(0, 400));
    signal.throwIfAborted();
    if (random.chance(failing())) throw fail();
    if (random.chance(failing() / 5)) {
      await wait(limits.model_first_token_ms);
      signal.throwIfAborted();
      throw new ModelError("model_timeout", "simulated", { retryable: true });
    }
    const large = random.chance(0.05);
    const hasty = !large && random.chance(0.3);
    for (let left = random.between(1, large ? 20 : 12); left > 0; left--) {
      const length = large ? delta_chars_max : random.between(1, 30);
      yield { type: "text", text: `${text} `.repeat(length).slice(0, length) };
      if (!hasty) await wait(random.between(large ? limits.flush_ms : 0, 900));
      signal.throwIfAborted();
      if (random.chance(failing() / 20)) throw fail();
    }
    const usage = { tokensIn: 1, tokensOut: 2, costUsd: "0.000001", estimated: false };
    yield { type: "finish", finish: "stop", usage };
  }

  return {
    calls,
    modelsFor: (life) => ({
      route: (model) => ({ provider: "simulated", model: model ?? "default" }),
      list: () => [],
      countTokens: (text) => text.length,
      estimate: (_route, tokensIn, textOut) => ({
        ...{ tokensIn, tokensOut: textOut.length, costUsd: "0.000000", estimated: true },
      }),
      generate(request, signal) {
        // An effect asks with all of its input, so a call can be told from another.
        const { turn, attempt } = request as typeof request & Partial<ModelCall>;
        const asked = { worker: life.name, turn: turn ?? "", attempt: attempt ?? 0 };
        return generate(life, asked, request.messages.at(-1)?.text ?? "", signal);
      },
    }),
  };
}
