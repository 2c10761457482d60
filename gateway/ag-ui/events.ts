/**
 * A turn in the words of the AG-UI protocol: `RUN_STARTED`, its text as one message, `RUN_FINISHED`,
 * or `RUN_ERROR` when it failed or began anew behind its first word. A client that asks again and
 * has a part of the answer already is first told its own messages without that part, since text is
 * only ever added to a message it knows. Pure (I5).
 */
import { ag_ui_version, type AgUiEvent, type AgUiMessageIn } from "../../schemas/ag-ui.ts";
import { type ErrorBody, errorBody, errors } from "../../schemas/errors.ts";
import { type Happening, tellTurn, withoutRestarts } from "../turns/happenings.ts";
import type { TurnEncoder } from "../turns/turn-answer.ts";

/** The run as its client named it, and what it came with. */
export interface Run {
  readonly threadId: string;
  readonly runId: string;
  readonly conversation: string;
  readonly messages: readonly AgUiMessageIn[];
  /** Fields of its input that have no effect. */
  readonly ignored: readonly string[];
}

const write = (events: readonly AgUiEvent[]): string =>
  events.map((event) => `data: ${JSON.stringify(event)}\n\n`).join("");

/** The encoder of one run that reads this turn. */
export function agUiEncoder(run: Run, turn: string): TurnEncoder {
  const tell = tellTurn(turn);
  const eventsOf = agUiEvents(run);
  let done = false;
  return {
    push(frame) {
      const events = tell(frame).flatMap(eventsOf);
      done ||= events.some(({ type }) => type === "RUN_FINISHED" || type === "RUN_ERROR");
      return write(events);
    },
    ended: (error) => (error === null ? "" : write([runError(error)])),
    get done() {
      return done;
    },
  };
}

/** What a client is written for each happening of one turn. */
export function agUiEvents(run: Run): (happening: Happening) => readonly AgUiEvent[] {
  const { threadId, runId, conversation, ignored } = run;
  const pass = withoutRestarts();
  let messageId = "";
  let model: string | undefined;
  let open = false;
  let over = false;
  const close = (): AgUiEvent[] => {
    const events: AgUiEvent[] = open ? [{ type: "TEXT_MESSAGE_END", messageId }] : [];
    open = false;
    return events;
  };
  const step = (happening: Happening): readonly AgUiEvent[] => {
    switch (happening.is) {
      case "accepted": {
        const { turn, message } = happening;
        messageId = message;
        const known = run.messages.some(({ id }) => id === message);
        const others = run.messages.filter(({ id }) => id !== message);
        return [
          {
            type: "RUN_STARTED",
            threadId,
            runId,
            protocolVersion: ag_ui_version,
            metadata: { conversation, turn },
          },
          ...(ignored.length === 0
            ? []
            : [{ type: "CUSTOM", name: "colloquy.ignored", value: ignored } as const]),
          ...(known ? [{ type: "MESSAGES_SNAPSHOT", messages: others } as const] : []),
        ];
      }
      case "started":
        model = happening.model;
        return [];
      case "text": {
        const delta = happening.text;
        const content: AgUiEvent = { type: "TEXT_MESSAGE_CONTENT", messageId, delta };
        if (open) return [content];
        open = true;
        return [{ type: "TEXT_MESSAGE_START", messageId, role: "assistant" }, content];
      }
      case "restarted":
        return [];
      case "ended": {
        const { finish, usage, error } = happening;
        if (finish === "failed") {
          const why = error ?? errorBody("internal");
          // A turn that began anew has not ended, and neither has its message.
          return why.code === "turn_restarted" ? [runError(why)] : [...close(), runError(why)];
        }
        const { tokensIn: inputTokens, tokensOut: outputTokens } = usage;
        const totalTokens = inputTokens + outputTokens;
        const spent = { ...(model === undefined ? {} : { model }), inputTokens, outputTokens };
        const result = { message: messageId, finish };
        return [
          ...close(),
          {
            type: "RUN_FINISHED",
            threadId,
            runId,
            // A cancelled run has no result, by the protocol.
            ...(finish === "cancelled"
              ? { outcome: { type: "cancelled" } }
              : { outcome: { type: "success" }, result }),
            usage: [{ ...spent, totalTokens }],
          },
        ];
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

/** What ends a run that cannot go on. */
const runError = ({ code, message }: ErrorBody): AgUiEvent => ({
  type: "RUN_ERROR",
  code,
  message,
  metadata: { retryable: errors[code].retryable },
});
