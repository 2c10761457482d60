/**
 * A turn in the OpenAI wire format: whole, or as chunks of a stream. The format cannot take text back,
 * so a restart after the first word ends the stream with `turn_restarted`. Pure.
 */
import { type ErrorBody } from "../../schemas/errors.ts";
import type { EndFrame } from "../../schemas/frames.ts";
import type { ChatCompletion, Tokens } from "../../schemas/openai.ts";
import { type Happening, tellTurn, withoutRestarts } from "../turns/happenings.ts";
import type { TurnEncoder } from "../turns/turn-answer.ts";
import { openAiError } from "./errors.ts";

/** What every part of one answer repeats. */
export interface Head {
  /** Of the conversation. */
  readonly id: string;
  /** Seconds since 1970. */
  readonly created: number;
  readonly model: string;
}

const tokensOf = ({ tokensIn, tokensOut }: EndFrame["usage"]): Tokens => ({
  prompt_tokens: tokensIn,
  completion_tokens: tokensOut,
  total_tokens: tokensIn + tokensOut,
});

export function completion(
  { id, created, model }: Head,
  content: string,
  finish: EndFrame["finish"],
  usage: EndFrame["usage"],
): ChatCompletion {
  const message = { role: "assistant", content, refusal: null } as const;
  return {
    ...{ id: `chatcmpl-${id}`, object: "chat.completion", created, model },
    choices: [{ index: 0, message, logprobs: null, finish_reason: finish }],
    usage: tokensOf(usage),
  };
}

const line = (data: object): string => `data: ${JSON.stringify(data)}\n\n`;

/** The encoder of one stream; `failure` is there once the turn has failed. */
export function chunkEncoder(
  { id, created, model }: Head,
  turn: string,
  include_usage: boolean,
): TurnEncoder {
  const tell = tellTurn(turn);
  const straight = withoutRestarts();
  const head = { id: `chatcmpl-${id}`, object: "chat.completion.chunk", created };
  /** What was asked for until the model that answers is known. */
  let answering = model;
  let begun = false;
  let failure: ErrorBody | null = null;
  let done = false;
  const chunk = (choices: readonly object[], usage: Tokens | null = null): string =>
    line({ ...head, model: answering, choices, ...(include_usage ? { usage } : {}) });
  const choice = (delta: object, finish_reason: string | null): string =>
    chunk([{ index: 0, delta, logprobs: null, finish_reason }]);
  const begin = (): string => {
    if (begun) return "";
    begun = true;
    return choice({ role: "assistant", content: "", refusal: null }, null);
  };
  const write = (happening: Happening): string => {
    switch (happening.is) {
      case "accepted":
      case "restarted":
        return "";
      case "started":
        answering = happening.model;
        return "";
      case "text":
        return begin() + choice({ content: happening.text }, null);
      case "ended": {
        done = true;
        ({ error: failure } = happening);
        if (failure !== null) return line(openAiError(failure.code, failure.message));
        const usage = include_usage ? chunk([], tokensOf(happening.usage)) : "";
        return `${begin()}${choice({}, happening.finish)}${usage}data: [DONE]\n\n`;
      }
    }
  };
  return {
    push: (frame) =>
      tell(frame)
        .map(straight)
        .flatMap((happening) => (happening === null ? [] : [write(happening)]))
        .join(""),
    ended: (error) => (error === null ? "" : line(openAiError(error.code, error.message))),
    get done() {
      return done;
    },
    get failure() {
      return failure;
    },
  };
}
