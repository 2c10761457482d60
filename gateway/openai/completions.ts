/**
 * `POST /v1/chat/completions`: a request is a conversation of its own, begun, answered and archived
 * with all that its client says was said before; or one more message of a conversation. Whoever closes the request before its end wants the
 * answer no more: its turn is cancelled, which closes the provider's connection, too.
 */
import { AppError } from "../../schemas/errors.ts";
import type { ActorRef } from "../../schemas/ids.ts";
import { limits } from "../../schemas/limits.ts";
import type { ChatCompletion, ChatCompletionBody } from "../../schemas/openai.ts";
import { commandId, derivedId, type Done, run } from "../http/asking.ts";
import type { Call, Shown } from "../http/call.ts";
import { type Position, start_position } from "../live/cursor.ts";
import type { Exchange } from "../http/exchange.ts";
import { turnOf } from "../turns/messages-stream.ts";
import { taken } from "../http/operation.ts";
import { shownEvent } from "../live/push-frames.ts";
import { command, conversationRef, type Service } from "../service.ts";
import { answerTurns } from "../turns/turn-answer.ts";
import { followTurns, type Wanted } from "../turns/turn-stream.ts";
import type { Identity } from "../auth/identity.ts";
import { chunkEncoder, completion, type Head } from "./chunks.ts";
import { type Asked, readRequest } from "./request.ts";

/** The conversation that a request began, or went on with, and its turn. */
export interface Begun {
  readonly ref: ActorRef;
  readonly turn: string;
  readonly done: Done;
  readonly wanted: Wanted;
}

/** Asks for the answer. Throws what refuses it. */
export async function begin(call: Call, asked: Asked): Promise<Begun> {
  const { service, who, idempotencyKey: key } = call;
  const id =
    asked.name === "send"
      ? asked.conversation
      : key === null
        ? service.ports.ids()
        : derivedId(who.tenant, who.user, "converse", key);
  const ref = conversationRef(who, id);
  const message = commandId(call, `${asked.name} ${id}`);
  const done = await run(call, ref, asked.name, message, asked.data);
  const commit = done.commit ?? (await service.ports.log.at(done.sequence));
  const turn = commit === null ? null : turnOf(commit, message);
  if (commit === null || turn === null) throw new AppError("id_taken");
  const from: Position = { ...start_position, revision: commit.revision - 1 };
  return { ref, turn, done, wanted: { from, turn, begun: done.revision } };
}

/** `streams`: at an address that knows no other answer. */
export async function complete(
  call: Call<ChatCompletionBody>,
  exchange: Exchange,
  streams = false,
): Promise<Shown<ChatCompletion> | typeof taken> {
  const { service, who } = call;
  const { asked, stream, include_usage } = readRequest(call.body);
  let gone = false;
  exchange.onGone(() => (gone = true));
  const begun = await begin(call, asked);
  const { ref, turn, done, wanted } = begun;
  const cancel = (): void => cancelTurn(service, who, ref, turn);
  if (gone) {
    cancel();
    return taken;
  }
  const created = Math.floor(service.ports.clock.now() / 1000);
  const head: Head = { id: ref.id, created, model: asked.data.model ?? "" };
  const headers = { "X-Colloquy-Seq": `${done.sequence}` };
  if (!stream && !streams) {
    const answer = await whole(call, exchange, ref, wanted, head, cancel);
    return answer === null ? taken : { value: answer, sequence: done.sequence };
  }
  const encoder = chunkEncoder(head, turn, include_usage);
  const patience_ms = limits.stream_patience_ms;
  try {
    await answerTurns(service, who, exchange, {
      ...{ ref, wanted, encoder, headers, gone: cancel, patience_ms },
    });
  } catch (error) {
    // Refused its stream: nobody would read it.
    cancel();
    throw error;
  }
  // What was restarted, or cut off by a gateway that stops, nobody reads any more.
  if (encoder.failure !== null && encoder.failure !== undefined) cancel();
  return taken;
}

/** The whole answer; null when its client has gone. Throws what the turn failed with. */
function whole(
  { service, who }: Call<ChatCompletionBody>,
  exchange: Exchange,
  ref: ActorRef,
  wanted: Wanted,
  head: Head,
  cancel: () => void,
): Promise<ChatCompletion | null> {
  return new Promise((resolve, reject) => {
    let { model } = head;
    let text = "";
    let failure = new AppError("internal");
    const following = followTurns(service, who, ref, wanted, {
      writable: () => true,
      cork: (call) => call(),
      push(frame) {
        if (frame.type === "end" && frame.turn === wanted.turn) {
          const { finish, usage } = frame;
          if (finish === "failed") return reject(failure);
          return resolve(completion({ ...head, model }, text, finish, usage));
        }
        const event = frame.type === "event" ? shownEvent(frame) : null;
        // Other turns of the conversation may wait, or end.
        if (event === null || !("turn" in event.data) || event.data.turn !== wanted.turn) return;
        switch (event.type) {
          case "turn.started":
            ({ model } = event.data);
            return;
          case "turn.failed":
            failure = new AppError(event.data.code, event.data.detail || undefined);
            return;
          case "turn.completed":
          case "turn.cancelled":
            ({ text } = event.data);
            return;
          default:
        }
      },
      ended(error) {
        if (error !== null) reject(new AppError(error.code, error.message));
      },
    });
    exchange.onGone(() => {
      following.stop();
      cancel();
      resolve(null);
    });
  });
}

/** Nobody waits for the answer any more. */
function cancelTurn(service: Service, who: Identity, ref: ActorRef, turn: string): void {
  const { ports } = service;
  const request = { ref, name: "cancel", id: ports.ids(), data: { turn } };
  const failed = (error: unknown): void =>
    ports.report({ what: "a request that was closed could not be cancelled", ref, error });
  command(service, who, request, (outcome) => {
    if (!outcome.ok) failed(outcome.error.message);
  }).catch(failed);
}
