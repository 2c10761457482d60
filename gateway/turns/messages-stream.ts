/**
 * `…/messages` with `Accept: text/event-stream`: a POST streams the turn that answers its message, a
 * GET goes on from `Last-Event-ID`. Nothing is kept of a stream but its place in the log, so any
 * gateway goes on where another stopped (I6); a client that closes it only detaches.
 */
import type { Commit } from "../../schemas/commit.ts";
import { AppError } from "../../schemas/errors.ts";
import type { ServerFrame } from "../../schemas/frames.ts";
import type { PostMessage } from "../../schemas/http.ts";
import type { Of } from "../../schemas/validate.ts";
import { send } from "../http/asking.ts";
import type { Call } from "../http/call.ts";
import { type Position, start_position } from "../live/cursor.ts";
import type { Exchange } from "../http/exchange.ts";
import { taken } from "../http/operation.ts";
import { isUpToDate } from "../live/room.ts";
import { conversationRef } from "../service.ts";
import { placeId, readPlace, sseEncoder, sseMessage } from "../http/sse.ts";
import { answerTurns } from "./turn-answer.ts";
import { placeOf } from "./turn-stream.ts";

/** Whether a request asks for a stream of events. */
export const asksForStream = (exchange: Exchange): boolean =>
  exchange
    .header("accept")
    .split(",")
    .some((range) => /^\s*text\/event-stream\s*(;(?!\s*q=0(\.0*)?\s*$)|$)/i.test(range));

/** The turn that a commit begins for a message, or lets it wait for; null when it begins none. */
export function turnOf(commit: Commit, message: string): string | null {
  for (const { type, data } of commit.events) {
    if ((type === "turn.queued" || type === "turn.started") && data.user === message) {
      return data.turn;
    }
  }
  return null;
}

/** `POST …/messages` as a stream. Throws what refuses it before it begins. */
export async function streamPost(
  call: Call<Of<typeof PostMessage>>,
  exchange: Exchange,
  id: string,
): Promise<typeof taken> {
  const { service, who } = call;
  const ref = conversationRef(who, id);
  const wished = lastEventId(exchange);
  const { message, done } = await send(call, id);
  const { revision, sequence: seq } = done;
  const commit = done.commit ?? (await service.ports.log.at(done.sequence));
  const turn = commit === null ? null : turnOf(commit, message);
  const before = { ...start_position, revision: commit === null ? 0 : commit.revision - 1 };
  const from = wished === null ? before : await placeOf(service, ref, wished);
  const ack: ServerFrame = { type: "ack", id: message, conversation: id, revision, seq };
  await answerTurns(service, who, exchange, {
    ref,
    wanted: { from, turn, begun: done.revision },
    encoder: sseEncoder(from),
    headers: { "X-Colloquy-Seq": `${seq}` },
    first: sseMessage("ack", placeId(from), JSON.stringify(ack)),
  });
  return taken;
}

/** `GET …/messages` as a stream. Throws `not_found`, `bad_cursor`. */
export async function streamMessages(
  call: Call,
  exchange: Exchange,
  id: string,
): Promise<typeof taken> {
  const { service, who } = call;
  const ref = conversationRef(who, id);
  const wished = lastEventId(exchange);
  if ((await service.owners.access(ref, who)) !== "granted") throw new AppError("not_found");
  const from = wished === null ? start_position : await placeOf(service, ref, wished);
  const { room, release } = service.rooms.enter(ref);
  try {
    await room.opened;
    // A browser's EventSource that has all there is asks again and again, until it is told this.
    if (room.turns.all().length === 0 && isUpToDate(from, room.position)) {
      exchange.answer({ status: 204, body: null });
      return taken;
    }
    const wanted = { from, turn: null, begun: from.revision };
    await answerTurns(service, who, exchange, { ref, wanted, encoder: sseEncoder(from) });
    return taken;
  } finally {
    release();
  }
}

function lastEventId(exchange: Exchange): Position | null {
  const id = exchange.header("last-event-id");
  return id === "" ? null : readPlace(id);
}
