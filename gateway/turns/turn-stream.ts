/**
 * Turns followed over HTTP: the frames of a conversation from a reader's place on, until the turns
 * that he waits for have ended. Pushed by the same room, subscription and cursor as those of a
 * WebSocket, so that live, resumed and slow readers have one rule (I5, I6); a reader that does not
 * read is a place in the log (I11). What it becomes on the wire is for encoders to say
 * (gateway/turns/happenings.ts, gateway/http/sse.ts).
 */
import { lastRevision } from "../../schemas/commit.ts";
import { AppError, errorBody, type ErrorBody } from "../../schemas/errors.ts";
import type { ActorRef } from "../../schemas/ids.ts";
import type { Identity } from "../auth/identity.ts";
import type { Position, PushFrame } from "../live/cursor.ts";
import { endOf } from "../live/push-frames.ts";
import type { Room } from "../live/room.ts";
import type { Service } from "../service.ts";
import { type Outlet, Subscription } from "../live/subscription.ts";

/** Where the frames go. */
export interface TurnOutlet {
  /** False while the reader does not read; call `drained` of what is followed when he does. */
  writable(): boolean;
  /** One frame, in order, and where its reader stands once he has it. */
  push(frame: PushFrame, after: Position): void;
  /** Gathers what `call` pushes into one write. */
  cork(call: () => void): void;
  /** Called once, last: the turns have ended (null), or cannot be followed any more. */
  ended(error: ErrorBody | null): void;
}

export interface Following {
  drained(): void;
  /** The reader has gone. Nothing is pushed any more, and `ended` is not called. */
  stop(): void;
}

/** What is read, and until when. */
export interface Wanted {
  readonly from: Position;
  /** Ends with this turn's `end`; null: when all have ended that run or wait as it begins. */
  readonly turn: string | null;
  /** The revision up to which `turn` is known to have been begun. */
  readonly begun: number;
}

/**
 * Follows until the turns have ended; whoever asks has judged that `who` may read. It ends with
 * `unshared` when that is over.
 */
export function followTurns(
  service: Service,
  who: Identity,
  ref: ActorRef,
  { from, turn, begun }: Wanted,
  outlet: TurnOutlet,
): Following {
  const lease = service.rooms.enter(ref);
  const { room } = lease;
  let awaited = new Set<string>();
  let arrived = false;
  let over = false;
  const stop = (): void => {
    if (over) return;
    over = true;
    subscription.end();
    lease.release();
  };
  const finish = (error: ErrorBody | null): void => {
    if (over) return;
    stop();
    outlet.ended(error);
  };
  const push = (frame: PushFrame, after: Position): void => {
    if (over) return;
    outlet.push(frame, after);
    if (frame.type !== "end") return;
    awaited.delete(frame.turn);
    if (frame.turn === turn || (arrived && awaited.size === 0)) finish(null);
  };
  const inner: Outlet = {
    writable: () => outlet.writable(),
    send: push,
    sendBytes: (_bytes, frame, after) => push(frame, after),
    cork: (call) => outlet.cork(call),
    lagging: (change) => service.buffers.lags(change),
  };
  const failed = (error: unknown): void => {
    if (over) return;
    if (error instanceof AppError && error.code === "unshared") return finish(error.body());
    service.ports.report({ what: "a turn could not be followed", ref, error });
    finish(errorBody("unavailable"));
  };
  const subscription = new Subscription(room, inner, failed, service.owners.right(ref, who));
  room.opened.then(() => {
    if (over) return;
    awaited = new Set(turn === null ? room.turns.all() : [turn]);
    subscription.begin(from, (reached) => {
      arrived = true;
      // What had ended before its reader's place comes to him no more.
      if (reached >= begun)
        for (const one of awaited) if (!room.turns.has(one)) awaited.delete(one);
      if (awaited.size === 0) finish(null);
    });
  }, failed);
  return { drained: () => subscription.drained(), stop };
}

/**
 * Where a reader stands that names a place: the event that ends a turn leaves him owed its `end`.
 * Throws `bad_cursor` for a place that the conversation has not come to.
 */
export async function placeOf(service: Service, ref: ActorRef, place: Position): Promise<Position> {
  const lease = service.rooms.enter(ref);
  try {
    const { room } = lease;
    await room.opened;
    if (place.revision > room.position.revision) {
      const last = await service.ports.log.last(ref);
      if (last === null || place.revision > lastRevision(last)) {
        throw new AppError("bad_cursor", "The cursor is ahead of the conversation.");
      }
    }
    if (place.turn === null || room.turns.has(place.turn.turn)) return place;
    return await owedAt(room, place, place.turn.turn);
  } finally {
    lease.release();
  }
}

async function owedAt(room: Room, place: Position, turn: string): Promise<Position> {
  const { base, commits } = room.tail.from(place.revision - 1);
  for await (const commit of commits ?? room.read(base)) {
    if (lastRevision(commit) < place.revision) continue;
    const event = commit.events[place.revision - commit.revision];
    const owed = event === undefined ? null : endOf(room.ref.id, event);
    return owed?.turn === turn ? { revision: place.revision, turn: null, owed } : place;
  }
  return place;
}
