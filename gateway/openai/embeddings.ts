/**
 * `POST /v1/embeddings`: handed on to the configured provider, as one call. Nothing of it is kept: no
 * conversation, no text, no vector. Bounded in what comes, what goes back, how long, and how many at
 * once (I10, I11); whoever closes the request closes the provider's connection, too.
 */
import { AppError } from "../../schemas/errors.ts";
import { ModelError } from "../../schemas/models.ts";
import type { Embeddings, EmbeddingsBody } from "../../schemas/openai.ts";
import type { Call, Shown } from "../http/call.ts";
import type { Exchange } from "../http/exchange.ts";
import { taken } from "../http/operation.ts";

/** Throws `not_configured`, `overloaded`, `tenant_busy`, and whatever the provider fails with. */
export async function embed(
  { service, who, body }: Call<EmbeddingsBody>,
  exchange: Exchange,
): Promise<Shown<Embeddings> | typeof taken> {
  const { embed: ask } = service.ports;
  if (ask === null) {
    const detail = "No provider of embeddings is configured here; see OPENAI_BASE_URL.";
    throw new AppError("not_configured", detail);
  }
  const leave = service.embedding.enter(who.tenant);
  const gone = new AbortController();
  exchange.onGone(() => gone.abort());
  try {
    const { model, input, encoding_format, dimensions } = body;
    const encoding = encoding_format ?? "float";
    const wanted = { model, input, encoding, dimensions: dimensions ?? undefined };
    const { vectors, model: used, tokens } = await ask(wanted, gone.signal);
    const spent = tokens ?? 0;
    return {
      value: {
        object: "list",
        data: vectors.map((embedding, index) => ({ object: "embedding", index, embedding })),
        model: used,
        usage: { prompt_tokens: spent, total_tokens: spent },
      },
      sequence: 0,
    };
  } catch (error) {
    if (gone.signal.aborted) return taken;
    if (!(error instanceof ModelError)) throw error;
    const { retry_after_ms } = error;
    if (retry_after_ms !== null) {
      exchange.common["Retry-After"] = String(Math.ceil(retry_after_ms / 1000));
    }
    throw new AppError(error.code, error.message);
  } finally {
    leave();
  }
}
