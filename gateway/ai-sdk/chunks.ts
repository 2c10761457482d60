/**
 * A turn in the words of the AI SDK's UI message stream: `start` with the answer's id, its text as
 * one part, `finish`; a cancelled one ends with `abort`, one that failed or began anew behind its
 * first word with `error`, whose text is `<code>: <sentence>` (the SDK makes it the message of an
 * `Error`). The same facts stand in the message's metadata. Pure (I5).
 */
import type { UiChunk, UiMetadata } from "../../schemas/ai-sdk.ts";
import { type ErrorBody, errorBody, errors } from "../../schemas/errors.ts";
import { type Happening, tellTurn, withoutRestarts } from "../turns/happenings.ts";
import type { TurnEncoder } from "../turns/turn-answer.ts";

/** Names the protocol's version, as the SDK's own servers do. */
export const ui_stream_headers = { "x-vercel-ai-ui-message-stream": "v1" } as const;

/** The one text part of an answer. */
const part = "text";

const write = (chunks: readonly UiChunk[]): string =>
  chunks.map((chunk) => `data: ${JSON.stringify(chunk)}\n\n`).join("");

/** The encoder of one reader of this turn; `cut` is called when the stream ends before it. */
export function uiEncoder(conversation: string, turn: string, cut: () => void): TurnEncoder {
  const tell = tellTurn(turn);
  const chunksOf = uiChunks(conversation);
  let done = false;
  return {
    push(frame) {
      const chunks = tell(frame).flatMap(chunksOf);
      done ||= chunks.some(({ type }) => last_chunks.has(type));
      return write(chunks);
    },
    ended(error) {
      if (error !== null) cut();
      const why = error === null ? [] : failure({ conversation, turn }, error);
      return `${write(why)}data: [DONE]\n\n`;
    },
    get done() {
      return done;
    },
  };
}

const last_chunks: ReadonlySet<UiChunk["type"]> = new Set(["finish", "abort", "error"]);

/** What a client is written for each happening of one turn of this conversation. */
export function uiChunks(conversation: string): (happening: Happening) => readonly UiChunk[] {
  const pass = withoutRestarts();
  let metadata: UiMetadata = { conversation };
  let model: string | undefined;
  let open = false;
  let over = false;
  const close = (): UiChunk[] => {
    const chunks: UiChunk[] = open ? [{ type: "text-end", id: part }] : [];
    open = false;
    return chunks;
  };
  const step = (happening: Happening): readonly UiChunk[] => {
    switch (happening.is) {
      case "accepted": {
        const { turn, message: messageId, user: parent } = happening;
        metadata = { conversation, turn, parent };
        return [{ type: "start", messageId, messageMetadata: metadata }];
      }
      case "started":
        model = happening.model;
        return [];
      case "text": {
        const delta: UiChunk = { type: "text-delta", id: part, delta: happening.text };
        if (open) return [delta];
        open = true;
        return [{ type: "text-start", id: part }, delta];
      }
      case "restarted":
        return [];
      case "ended": {
        const { finish, usage, error } = happening;
        const ended = { ...metadata, ...(model === undefined ? {} : { model }), finish, usage };
        switch (finish) {
          case "stop":
          case "length":
            return [...close(), { type: "finish", finishReason: finish, messageMetadata: ended }];
          case "cancelled":
            return [
              ...close(),
              { type: "message-metadata", messageMetadata: ended },
              { type: "abort", reason: "cancelled" },
            ];
          case "failed":
            // A turn that began anew has not ended: what it has used so far nobody knows.
            return error?.code === "turn_restarted"
              ? failure(metadata, error)
              : [...close(), ...failure(ended, error ?? errorBody("internal"))];
        }
      }
    }
  };
  return (happening) => {
    const passed = over ? null : pass(happening);
    if (passed === null) return [];
    over = passed.is === "ended";
    return step(passed);
  };
}

/** What ends a stream that cannot go on. */
function failure(metadata: UiMetadata, { code, message }: ErrorBody): readonly UiChunk[] {
  const told = { ...metadata, error: { code, message, retryable: errors[code].retryable } };
  return [
    { type: "message-metadata", messageMetadata: told },
    { type: "error", errorText: `${code}: ${message}` },
  ];
}
