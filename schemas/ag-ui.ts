/**
 * What a client of the AG-UI protocol, version 1.0, sends (`RunAgentInput`) and the events that we
 * answer with; the protocol's own types (package `@ag-ui/core`) are the source. An input may carry
 * more than is named here, and is only read for what an answer needs: the history is the log's.
 */
import Type, { type Static } from "typebox";
import { ForeignId } from "./ai-sdk.ts";
import type { ErrorCode } from "./errors.ts";
import { Overlap } from "./events/fields.ts";
import { limits } from "./limits.ts";
import { check } from "./validate.ts";

export const ag_ui_version = "1.0";

const AgUiMessageIn = Type.Object({
  id: ForeignId,
  role: Type.String(),
  content: Type.Optional(
    Type.Union([
      Type.String(),
      Type.Array(Type.Object({ type: Type.String(), text: Type.Optional(Type.String()) })),
      Type.Record(Type.String(), Type.Unknown()),
    ]),
  ),
});
export type AgUiMessageIn = Static<typeof AgUiMessageIn>;

/** `POST /api/v1/ag-ui`. */
export const RunAgentInput = Type.Object({
  threadId: ForeignId,
  runId: ForeignId,
  messages: Type.Array(AgUiMessageIn, { minItems: 1 }),
  tools: Type.Optional(Type.Array(Type.Unknown())),
  context: Type.Optional(Type.Array(Type.Unknown())),
  /** Answers to interrupts, of which we make none. */
  resume: Type.Optional(Type.Array(Type.Unknown())),
  /** `model` and `overlap` mean here what they mean in a `send`. */
  forwardedProps: Type.Optional(Type.Unknown()),
});
export type RunAgentInput = Static<typeof RunAgentInput>;

export const forwardedProps = check(
  Type.Object({
    model: Type.Optional(Type.String({ minLength: 1, maxLength: limits.model_chars_max })),
    overlap: Type.Optional(Overlap),
  }),
);

interface TokenUsage {
  readonly model?: string;
  readonly inputTokens: number;
  readonly outputTokens: number;
  readonly totalTokens: number;
}

/** The events that we write. */
export type AgUiEvent =
  | {
      readonly type: "RUN_STARTED";
      readonly threadId: string;
      readonly runId: string;
      readonly protocolVersion: typeof ag_ui_version;
      readonly metadata: { readonly conversation: string; readonly turn: string };
    }
  /** What of the input has no effect here: names of its fields. */
  | {
      readonly type: "CUSTOM";
      readonly name: "colloquy.ignored";
      readonly value: readonly string[];
    }
  | { readonly type: "MESSAGES_SNAPSHOT"; readonly messages: readonly AgUiMessageIn[] }
  | {
      readonly type: "TEXT_MESSAGE_START";
      readonly messageId: string;
      readonly role: "assistant";
    }
  | { readonly type: "TEXT_MESSAGE_CONTENT"; readonly messageId: string; readonly delta: string }
  | { readonly type: "TEXT_MESSAGE_END"; readonly messageId: string }
  | {
      readonly type: "RUN_FINISHED";
      readonly threadId: string;
      readonly runId: string;
      readonly outcome: { readonly type: "success" | "cancelled" };
      readonly result?: { readonly message: string; readonly finish: string };
      readonly usage: readonly TokenUsage[];
    }
  | {
      readonly type: "RUN_ERROR";
      readonly code: ErrorCode;
      readonly message: string;
      readonly metadata: { readonly retryable: boolean };
    };
