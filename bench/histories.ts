/**
 * Conversations as they lie in the log after some turns, written straight into it: what a worker
 * would have appended, decision by decision, without the time that models and people take.
 */
import { type CommitDraft, empty_head, type Head } from "../schemas/commit.ts";
import { type DomainEvent, event } from "../schemas/events.ts";
import { type ActorRef, systemIds } from "../schemas/ids.ts";
import type { Log } from "../streams/log/log.ts";

const question = "And what happens to the conversation when its worker is gone? ".repeat(2);
const answer = "A durable actor keeps its state in a log, and goes on where it was. ".repeat(12);
/** As a model of 100 tokens/s fills them. */
const frames_of_an_answer = 40;
const usage = { tokensIn: 400, tokensOut: 200, costUsd: "0.000123" };

/** Events of a conversation of so many turns: two begin it, four are a turn's. */
export const turnsOf = (events: number): number => Math.round((events - 2) / 4);

/** Where a conversation stands. */
export interface Written {
  readonly head: Head;
  /** Its last message. */
  readonly parent: string | null;
}
const unwritten: Written = { head: empty_head, parent: null };

/** Appends `turns` turns, all of them ended, to a new conversation or behind what was written. */
export async function writeConversation(
  log: Log,
  ref: ActorRef,
  turns: number,
  before: Written = unwritten,
): Promise<Written> {
  let { head, parent } = before;
  const commit = async (...events: DomainEvent[]): Promise<void> => {
    const draft: CommitDraft = {
      ...{ ref, commit: systemIds(), command: systemIds(), traceparent: null },
      ...{ by: { type: "user", id: "bench" }, at: new Date().toISOString(), events },
    };
    const appended = await log.append(draft, head);
    if (!appended.ok) throw new Error("nobody else writes here");
    head = appended.head;
  };
  for (let n = 0; n < turns; n++) {
    const [user, message, turn] = [systemIds(), systemIds(), systemIds()];
    const call = { owner: "bench", provider: "bench", model: "bench" };
    const asked = [
      event("message.added", { message: user, parent, role: "user", text: question }),
      event("turn.started", { turn, message, user, attempt: 1, ...call }),
    ];
    const ended = [
      event("model.attempted", {
        ...{ turn, attempt: 1, provider: "bench", model: "bench", outcome: "completed", usage },
        ...{ estimated: false, first_token_ms: 300, total_ms: 2_000, code: null, detail: "" },
      }),
      event("turn.completed", {
        ...{ turn, message, attempt: 1, seq: frames_of_an_answer, text: answer, usage },
        ...{ frames: framesOf(answer), finish: "stop" },
      }),
    ];
    if (head.revision === 0) {
      const began = { origin: "chat", owner: "bench", model: null, overlap: "queue" } as const;
      await commit(event("conversation.started", began), ...asked);
      const title = event("conversation.titled", { title: "What happens", source: "self" });
      await commit(...ended, title);
    } else {
      await commit(...asked);
      await commit(...ended);
    }
    parent = message;
  }
  return { head, parent };
}

function framesOf(text: string): { lengths: number[]; times: number[] } {
  const each = Math.ceil(text.length / frames_of_an_answer);
  const lengths = Array.from({ length: frames_of_an_answer }, (_, at) =>
    Math.min(each, text.length - at * each),
  ).filter((length) => length > 0);
  return { lengths, times: lengths.map(() => 50) };
}
