/**
 * What a request of the OpenAI wire format asks for, or the refusal. A parameter that would change the
 * answer and cannot be done here is refused: who sets it counts on it. One that changes nothing that
 * its sender sees (`user`, `metadata`, `store`, `service_tier`, `parallel_tool_calls`,
 * `reasoning_effort` …) is ignored, as are those that nobody knows. Pure.
 */
import type { CommandData } from "../../schemas/commands.ts";
import { AppError } from "../../schemas/errors.ts";
import { isUuid } from "../../schemas/ids.ts";
import { limits } from "../../schemas/limits.ts";
import type { ChatCompletionBody } from "../../schemas/openai.ts";
import type { Sampling } from "../../schemas/sampling.ts";

type Converse = CommandData<"converse">;
type Brought = Converse["messages"][number];

/** The command that asks for the answer. */
export type Asked =
  /** Of a conversation of its own, with all that was said. */
  | { readonly name: "converse"; readonly data: Converse }
  /** Of a conversation that goes on, or begins with it. */
  | { readonly name: "send"; readonly conversation: string; readonly data: CommandData<"send"> };

export interface CompletionRequest {
  readonly asked: Asked;
  readonly stream: boolean;
  readonly include_usage: boolean;
}

const isEmpty = (value: unknown): boolean =>
  value === undefined ||
  value === null ||
  value === false ||
  (Array.isArray(value) && value.length === 0) ||
  (typeof value === "object" && Object.keys(value).length === 0);

/** Parameter → whether what it says leaves the answer as it is without it. */
const harmless: Readonly<Record<string, (value: unknown) => boolean>> = {
  tools: isEmpty,
  functions: isEmpty,
  n: (value) => isEmpty(value) || value === 1,
  logprobs: isEmpty,
  top_logprobs: (value) => isEmpty(value) || value === 0,
  logit_bias: isEmpty,
  stop: isEmpty,
  audio: isEmpty,
  web_search_options: (value) => value === undefined || value === null,
  modalities: (value) => isEmpty(value) || (Array.isArray(value) && value.join() === "text"),
  response_format: (value) => isEmpty(value) || fieldOf(value, "type") === "text",
};

function fieldOf(value: unknown, name: string): unknown {
  if (typeof value !== "object" || value === null) return undefined;
  return Object.entries(value).find(([key]) => key === name)?.[1];
}

/** Throws `unsupported_parameter`, `bad_request`, `text_too_long`. */
export function readRequest(body: ChatCompletionBody): CompletionRequest {
  for (const [name, isHarmless] of Object.entries(harmless)) {
    if (isHarmless(fieldOf(body, name))) continue;
    throw new AppError("unsupported_parameter", `${name}: this server cannot do that.`);
  }
  const { stream, stream_options } = body;
  const asked = isEmpty(body.conversation_id) && isEmpty(body.message) ? said(body) : next(body);
  return {
    asked,
    // Who sends one message is told the answer as it comes, as that form was asked for.
    stream: stream ?? asked.name === "send",
    include_usage: stream_options?.include_usage === true,
  };
}

const modelOf = ({ model }: ChatCompletionBody): { model?: string } =>
  model === undefined ? {} : { model };

/** All messages of a conversation of its own. */
function said(body: ChatCompletionBody): Asked {
  const messages = (body.messages ?? []).flatMap((message, at) => {
    const brought = readMessage(message, `messages[${at}]`);
    return brought.text === "" ? [] : [brought];
  });
  if (messages.length === 0) {
    throw new AppError("bad_request", "messages: one of them must have a text.");
  }
  const data = { messages, sampling: samplingOf(body), ...modelOf(body) };
  return { name: "converse", data };
}

/** One message in a conversation. */
function next(body: ChatCompletionBody): Asked {
  const { conversation_id: conversation, message: text, messages } = body;
  if (messages !== undefined) {
    throw new AppError("bad_request", "messages: they come without conversation_id and message.");
  }
  if (!isUuid(conversation)) {
    throw new AppError("bad_request", "conversation_id: it is a UUID, and comes with message.");
  }
  if (typeof text !== "string" || text === "") {
    throw new AppError("bad_request", "message: it is a text, and comes with conversation_id.");
  }
  if (text.length > limits.text_chars_max) throw new AppError("text_too_long");
  const [wish] = Object.keys(samplingOf(body));
  if (wish !== undefined) {
    throw new AppError("unsupported_parameter", `${wish}: it is for requests with messages.`);
  }
  return { name: "send", conversation, data: { text, ...modelOf(body) } };
}

const roles: ReadonlyMap<string, Brought["role"]> = new Map([
  ["system", "system"],
  ["developer", "system"],
  ["user", "user"],
  ["assistant", "assistant"],
]);

function readMessage(
  message: NonNullable<ChatCompletionBody["messages"]>[number],
  where: string,
): { role: Brought["role"]; text: string } {
  const role = roles.get(message.role);
  if (role === undefined) {
    const known = [...roles.keys()].join(", ");
    throw new AppError("unsupported_parameter", `${where}.role: it is one of ${known}.`);
  }
  for (const name of ["tool_calls", "function_call", "audio"]) {
    if (!isEmpty(fieldOf(message, name))) {
      throw new AppError("unsupported_parameter", `${where}.${name}: this server cannot do that.`);
    }
  }
  return { role, text: textOf(message.content, `${where}.content`) };
}

function textOf(content: unknown, where: string): string {
  if (content === undefined || content === null) return "";
  if (typeof content === "string") return content;
  if (!Array.isArray(content)) {
    throw new AppError("bad_request", `${where}: it is a text or a list of parts.`);
  }
  // A list of anything, by the line above.
  return (content as readonly unknown[])
    .map((part) => {
      const text = fieldOf(part, "text");
      if (fieldOf(part, "type") === "text" && typeof text === "string") return text;
      throw new AppError("unsupported_parameter", `${where}: only parts of type text are read.`);
    })
    .join("");
}

function samplingOf(body: ChatCompletionBody): Sampling {
  const wished: Record<keyof Sampling, number | null | undefined> = {
    temperature: body.temperature,
    topP: body.top_p,
    maxTokens: body.max_completion_tokens ?? body.max_tokens,
    presencePenalty: body.presence_penalty,
    frequencyPenalty: body.frequency_penalty,
    seed: body.seed,
  };
  const named = Object.entries(wished).filter(([, value]) => typeof value === "number");
  // Numbers by the line above, in the bounds that the body's schema has checked.
  return Object.fromEntries(named) as Sampling;
}
