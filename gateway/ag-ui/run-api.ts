/**
 * Runs of the AG-UI protocol (`HttpAgent`, unchanged): a thread is a conversation, a run a turn of
 * it. The message of a run carries both names in its id, so that the same run sent again, from
 * anywhere and also after its end, reads its own answer once more and asks nothing anew, while
 * another run of a message that is there already is another answer to it. Closing the request only
 * detaches.
 */
import { type AgUiMessageIn, forwardedProps, type RunAgentInput } from "../../schemas/ag-ui.ts";
import { AppError } from "../../schemas/errors.ts";
import { type ActorRef, isUuid } from "../../schemas/ids.ts";
import type { Call } from "../http/call.ts";
import { derivedId } from "../http/asking.ts";
import type { Exchange } from "../http/exchange.ts";
import {
  ask,
  askAgain,
  findOnPath,
  type Listed,
  type Question,
  questionOf,
  type WantedTurn,
  type Wishes,
} from "../turns/placement.ts";
import { conversationRef } from "../service.ts";
import { answerTurns } from "../turns/turn-answer.ts";
import { agUiEncoder } from "./events.ts";

/** Streams the run. Throws what refuses it before it begins. */
export async function postRun(call: Call<RunAgentInput>, exchange: Exchange): Promise<void> {
  const { service, who, body } = call;
  const { threadId, runId, messages } = body;
  if ((body.resume ?? []).length > 0) {
    throw new AppError("bad_request", "There is no interrupt to resume from.");
  }
  const id = isUuid(threadId) ? threadId : derivedId(who.tenant, who.user, "ag-ui", threadId);
  const ref = conversationRef(who, id);
  const access = await service.owners.access(ref, who);
  if (access === "denied") throw new AppError("not_found");
  const question = questionOf(messages.map(listed));
  const wanted = await begin(call, ref, question, access === "absent");
  const run = { threadId, runId, messages, conversation: ref.id, ignored: ignored(body) };
  await answerTurns(service, who, exchange, {
    ...{ ref, wanted, encoder: agUiEncoder(run, wanted.turn) },
  });
}

async function begin(
  call: Call<RunAgentInput>,
  ref: ActorRef,
  question: Question,
  fresh: boolean,
): Promise<WantedTurn> {
  const { who, body, service } = call;
  const wishes = wishesOf(body);
  const named = [who.tenant, who.user, "ag-ui", ref.id, question.id ?? ""] as const;
  /** The first half of a message's id is made of its name, the second of its run's, too. */
  const half = derivedId(...named).slice(0, 19);
  const id = `${half}${derivedId(...named, body.runId).slice(19)}`;
  if (fresh) return ask(call, ref, id, question, wishes);
  const { queries } = service.ports;
  const sequence = Math.max(call.min_seq, service.sequences.of(ref));
  const row = await queries.conversation(ref.tenant, ref.id, sequence || undefined);
  // As a rule nothing has come since the answer that the client has seen last.
  const found =
    row !== null && row.head === question.behind
      ? null
      : await findOnPath(call, ref, (user) => user.id === question.id || user.id.startsWith(half));
  const answer = found === null || found.user.id === id ? null : found.answer;
  if (answer === null) return ask(call, ref, id, question, wishes);
  const again = derivedId(who.tenant, who.user, "ag-ui", ref.id, "run", body.runId);
  return askAgain(call, ref, again, answer, wishes);
}

function wishesOf({ forwardedProps: given }: RunAgentInput): Wishes {
  if (typeof given !== "object" || given === null) return {};
  const parsed = forwardedProps.parse(given);
  if (!parsed.ok) throw new AppError("bad_request", `forwardedProps: ${parsed.problem}`);
  const { model, overlap } = parsed.value;
  return {
    ...(model === undefined ? {} : { model }),
    ...(overlap === undefined ? {} : { overlap }),
  };
}

function listed({ id, role, content }: AgUiMessageIn): Listed {
  if (!Array.isArray(content)) {
    return { id, role, text: typeof content === "string" ? content : "" };
  }
  if (role === "user" && content.some(({ type }) => type !== "text")) {
    throw new AppError("bad_request", "Messages with anything but text are not taken here.");
  }
  return { id, role, text: content.map(({ text = "" }) => text).join("\n") };
}

const answered_roles: ReadonlySet<string> = new Set(["user", "assistant"]);

/** What the input asks for that has no effect here; its client is told. */
function ignored({ tools = [], context = [], messages }: RunAgentInput): string[] {
  const others = messages.filter(({ role }) => !answered_roles.has(role)).map(({ role }) => role);
  return [
    ...(tools.length > 0 ? ["tools"] : []),
    ...(context.length > 0 ? ["context"] : []),
    ...[...new Set(others)].map((role) => `messages with role ${role}`.slice(0, 64)),
  ];
}
