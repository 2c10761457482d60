/**
 * One HTTP answer that streams turns: what is followed (gateway/turn-stream.ts), written by an encoder
 * into an outflow (gateway/outflow.ts). A client that goes only detaches, unless whoever answers wants
 * to know of it; a gateway that stops tells its streams, so that their clients go on elsewhere.
 */
import { type ErrorBody, errorBody } from "../schemas/errors.ts";
import type { ActorRef } from "../schemas/ids.ts";
import type { Identity } from "./auth/identity.ts";
import type { Position, PushFrame } from "./cursor.ts";
import type { Exchange } from "./exchange.ts";
import type { OpenStream } from "./open-stream.ts";
import type { Service } from "./service.ts";
import { type Following, followTurns, type Wanted } from "./turn-stream.ts";

/** Writes frames in a protocol's own form; text that is empty is not written. */
export interface TurnEncoder {
  push(frame: PushFrame, after: Position): string;
  /** The last words: the turns have ended (null), or the stream ends before them. */
  ended(error: ErrorBody | null): string;
  /** True once the protocol has nothing more to say, whatever the turn still does. */
  readonly done?: boolean;
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
}

/** Of Server-Sent Events, which all our streams are; proxies shall neither keep nor gather them. */
const stream_headers = {
  "Content-Type": "text/event-stream; charset=utf-8",
  "Cache-Control": "no-store, no-transform",
  "X-Accel-Buffering": "no",
};
/** A comment: it says nothing. */
const beat = ":\n\n";

/** Answers; resolves when the answer has ended. Whoever asks has judged that `who` may read. */
export async function answerTurns(
  service: Service,
  who: Identity,
  exchange: Exchange,
  { ref, wanted, encoder, headers = {}, first = "", gone }: TurnAnswer,
): Promise<void> {
  const outflow = exchange.stream({ ...stream_headers, ...headers }, beat);
  let following: Following | null = null;
  let over = false;
  const end = (error: ErrorBody | null): void => {
    if (over) return;
    over = true;
    following?.stop();
    outflow.write(encoder.ended(error));
    outflow.end();
  };
  const stream: OpenStream = {
    identity: who,
    fail: (code, detail) => end(errorBody(code, detail)),
  };
  outflow.write(first);
  following = followTurns(service, who, ref, wanted, {
    writable: () => outflow.writable(),
    cork: (call) => outflow.cork(call),
    push(frame, after) {
      if (over) return;
      outflow.write(encoder.push(frame, after));
      if (encoder.done === true) end(null);
    },
    ended: end,
  });
  const followed = following;
  outflow.onDrain(() => followed.drained());
  outflow.onAbort(() => {
    over = true;
    followed.stop();
    gone?.();
  });
  service.streams.add(stream);
  const { clock } = service.ports;
  // No turn lives as long as a timer can wait.
  const expires = Math.min(Math.max(0, who.expires_ms - clock.now()), 2 ** 30);
  const cancel = clock.after(expires, () => stream.fail("token_expired"));
  const release = service.revocations.hold(who, (code) => stream.fail(code));
  await outflow.closed;
  release();
  cancel();
  service.streams.delete(stream);
}
