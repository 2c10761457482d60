/**
 * One HTTP answer that streams turns: what is followed (gateway/turns/turn-stream.ts), written by an encoder
 * into an outflow (gateway/http/outflow.ts). A client that goes only detaches, unless whoever answers wants
 * to know of it; a gateway that stops tells its streams, so that their clients go on elsewhere.
 */
import { AppError, type ErrorBody, errorBody } from "../../schemas/errors.ts";
import type { ActorRef } from "../../schemas/ids.ts";
import type { Identity } from "../auth/identity.ts";
import type { Position, PushFrame } from "../live/cursor.ts";
import type { Exchange } from "../http/exchange.ts";
import type { OpenStream } from "./open-stream.ts";
import type { Outflow } from "../http/outflow.ts";
import { ipOf } from "../limits/admit.ts";
import { callerOf, type Service } from "../service.ts";
import { type Following, followTurns, type Wanted } from "./turn-stream.ts";

/** Writes frames in a protocol's own form; text that is empty is not written. */
export interface TurnEncoder {
  push(frame: PushFrame, after: Position): string;
  /** The last words: the turns have ended (null), or the stream ends before them. */
  ended(error: ErrorBody | null): string;
  /** True once the protocol has nothing more to say, whatever the turn still does. */
  readonly done?: boolean;
  /** Why the turn failed, once it has. */
  readonly failure?: ErrorBody | null;
}

export interface TurnAnswer {
  readonly ref: ActorRef;
  readonly wanted: Wanted;
  readonly encoder: TurnEncoder;
  readonly headers?: Readonly<Record<string, string>>;
  /** What is written before anything else. */
  readonly first?: string;
  /** Calls when the client goes before the end. */
  readonly gone?: () => void;
  /**
   * For clients that know only how to handle a refusal: the head waits so long for the first words,
   * and a turn that fails before them is refused like any request. 0: it leaves at once.
   */
  readonly patience_ms?: number;
}

/** Of Server-Sent Events, which all our streams are; proxies shall neither keep nor gather them. */
const stream_headers = {
  "Content-Type": "text/event-stream; charset=utf-8",
  "Cache-Control": "no-store, no-transform",
  "X-Accel-Buffering": "no",
};
/** A comment: it says nothing. */
const beat = ":\n\n";

/**
 * Answers; resolves when the answer has ended. Whoever asks has judged that `who` may read. Throws
 * `too_many_connections`: it counts as a WebSocket does (I11).
 */
export async function answerTurns(
  service: Service,
  who: Identity,
  exchange: Exchange,
  { ref, wanted, encoder, headers = {}, first = "", gone, patience_ms = 0 }: TurnAnswer,
): Promise<void> {
  if (exchange.method === "HEAD") {
    // Whatever followed its head would be read as the answer to the connection's next request.
    return exchange.answer({ status: 200, headers: { ...stream_headers, ...headers }, body: null });
  }
  const { clock } = service.ports;
  let outflow: Outflow | null = null;
  let following: Following | null = null;
  const share = service.buffers.open();
  let over = false;
  let close = (): void => {};
  const closed = new Promise<void>((resolve) => (close = resolve));
  /** What waits for the head; less than one answer, since the first words end the wait. */
  let waiting = first;
  const open = (): Outflow => {
    if (outflow !== null) return outflow;
    outflow = exchange.stream({ ...stream_headers, ...headers }, beat);
    outflow.onDrain(() => following?.drained());
    outflow.onUnread((bytes) => share.is(bytes));
    outflow.write(waiting);
    return outflow;
  };
  const stop = (): void => {
    over = true;
    following?.stop();
    close();
  };
  const end = (error: ErrorBody | null): void => {
    if (over) return;
    stop();
    const refused = error ?? encoder.failure ?? null;
    if (outflow === null && refused !== null)
      return exchange.problem(refused.code, refused.message);
    const body = open();
    body.write(encoder.ended(error));
    body.end();
  };
  const stream: OpenStream = {
    identity: who,
    fail: (code, detail) => end(errorBody(code, detail)),
  };
  exchange.onGone(() => {
    if (over) return;
    stop();
    gone?.();
  });
  if (over) return share.end();
  const leave = service.connections.enter(callerOf(who, ipOf(exchange, service)));
  if (leave === null) {
    share.end();
    throw new AppError("too_many_connections", undefined, { retry_s: 10 });
  }
  if (patience_ms === 0) open();
  following = followTurns(service, who, ref, wanted, {
    writable: () => outflow?.writable() ?? true,
    cork: (call) => (outflow === null ? call() : outflow.cork(call)),
    push(frame, after) {
      if (over) return;
      const text = encoder.push(frame, after);
      if (outflow === null) waiting += text;
      else outflow.write(text);
      if (encoder.done === true) return end(null);
      if (frame.type === "token" && text !== "") open();
    },
    ended: end,
  });
  service.streams.add(stream);
  // No turn lives as long as a timer can wait.
  const expires = Math.min(Math.max(0, who.expires_ms - clock.now()), 2 ** 30);
  const cancels = [
    clock.after(expires, () => stream.fail("token_expired")),
    clock.after(patience_ms, () => over || open()),
  ];
  const release = service.revocations.hold(who, (code) => stream.fail(code));
  await closed;
  share.end();
  leave();
  release();
  for (const cancel of cancels) cancel();
  service.streams.delete(stream);
}
