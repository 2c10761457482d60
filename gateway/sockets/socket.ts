/**
 * One WebSocket of `GET /ws/chat`: what its frames mean, and its subscriptions. Nothing a client
 * sends reaches another tenant (I10), and everything it holds is bounded (I11). Frames are read and
 * let in by frame-intake.ts; the life of the credential is auth/held-credential.ts, the watching of
 * the user's list is list-watch.ts.
 */
import {
  AppError,
  type ErrorBody,
  type ErrorCode,
  errorBody,
  errors,
} from "../../schemas/errors.ts";
import {
  type After,
  type ClientFrame,
  readyLimits,
  type ServerFrame,
} from "../../schemas/frames.ts";
import { limits } from "../../schemas/limits.ts";
import { HeldCredential } from "../auth/held-credential.ts";
import { type Identity, must, permits } from "../auth/identity.ts";
import type { Outcome } from "../commands.ts";
import type { Position } from "../live/cursor.ts";
import { FrameIntake } from "./frame-intake.ts";
import type { Caller } from "../limits/gate.ts";
import { ListWatch } from "./list-watch.ts";
import type { RoomLease } from "../live/rooms.ts";
import { command, conversationRef, type Service } from "../service.ts";
import { type Outlet, Subscription } from "../live/subscription.ts";

/** What a session needs of the real socket. */
export interface Wire extends Outlet {
  send(frame: ServerFrame): void;
  sendBytes(bytes: Uint8Array): void;
  /** Sends what was asked for, whatever the watermark says; who never reads is closed. */
  answer(frame: ServerFrame): void;
  close(code: number, reason: string): void;
}

type CommandFrame = Extract<ClientFrame, { type: "send" | "cancel" | "regenerate" | "edit" }>;
type SubscribeFrame = Extract<ClientFrame, { type: "subscribe" }>;

interface Held {
  readonly subscription: Subscription;
  readonly lease: RoomLease;
}

const start = (revision: number): Position => ({ revision, turn: null, owed: null });
const positionOf = (after: After | undefined): Position => {
  if (after === undefined) return start(0);
  if (!("turn" in after)) return start(after.revision);
  const { revision, turn, attempt, seq } = after;
  return { revision, turn: { turn, attempt, seq }, owed: null };
};
const bodyOf = (error: unknown): ErrorBody =>
  error instanceof AppError ? error.body() : errorBody("internal");

export class Session {
  readonly #service: Service;
  readonly #wire: Wire;
  readonly #credential: HeldCredential;
  readonly #intake: FrameIntake;
  readonly #list: ListWatch;
  readonly #held = new Map<string, Held>();
  /** Commands that are not in flight yet; a `subscribe` behind one waits for it. */
  readonly #launches = new Map<string, Promise<void>>();
  #inFlight = 0;
  #closed = false;

  constructor(service: Service, wire: Wire, identity: Identity, caller: Caller) {
    this.#service = service;
    this.#wire = wire;
    this.#credential = new HeldCredential(service, identity, caller.ip, {
      warn: () => this.#warn(),
      end: (code) => this.fail(code),
    });
    this.#intake = new FrameIntake(service, caller, {
      frame: (frame) => this.#frame(frame),
      refuse: (id, error) => this.#answer(id, error),
      fail: (code) => this.fail(code),
    });
    this.#list = new ListWatch(service.watches, {
      writable: () => wire.writable(),
      send: (frame) => this.#send(frame),
    });
  }

  get #identity(): Identity {
    return this.#credential.identity;
  }

  open(): void {
    const { user, tenant } = this.#identity;
    this.#wire.send({ type: "ready", user, tenant, limits: readyLimits });
    this.#credential.open();
  }

  drained(): void {
    if (!this.#list.drained()) return;
    for (const { subscription } of this.#held.values()) subscription.drained();
  }

  closed(): void {
    this.#closed = true;
    this.#intake.close();
    this.#credential.close();
    for (const conversation of [...this.#held.keys()]) this.#drop(conversation);
    this.#list.close();
  }

  /** Tells the client why, then closes with the code's close code. */
  fail(code: ErrorCode, detail?: string): void {
    if (this.#closed) return;
    this.#send({ type: "error", ...errorBody(code, detail) });
    this.#wire.close(errors[code].close ?? 1011, code);
  }

  /** A text frame, at most `frame_bytes_max` long. */
  text(text: string): void {
    this.#intake.text(text);
  }

  #frame(frame: ClientFrame): void {
    switch (frame.type) {
      case "ping":
        return this.#send({ type: "pong" });
      case "auth":
        return this.#run(null, this.#renew(frame.token));
      case "watch":
        return this.#run(frame.id, this.#watch(frame.id));
      case "unsubscribe": {
        const { id, conversation } = frame;
        this.#drop(conversation);
        return this.#send({ type: "unsubscribed", id, conversation });
      }
      case "subscribe":
        return this.#run(frame.id, this.#subscribe(frame));
      default:
        return this.#run(frame.id, this.#command(frame));
    }
  }

  #run(id: string | null, work: Promise<void>): void {
    work.catch((error: unknown) => {
      if (!(error instanceof AppError)) {
        this.#service.ports.report({ what: "a frame could not be handled", error });
      }
      this.#answer(id, bodyOf(error));
    });
  }

  async #command(frame: CommandFrame): Promise<void> {
    const { type, id, conversation, ...rest } = frame;
    // Accepted on the wire before retrieval gives them a meaning; the actor knows nothing of them.
    const {
      mode: _mode,
      collections: _collections,
      ...data
    } = { mode: 0, collections: 0, ...rest };
    if (this.#inFlight >= limits.commands_per_socket_max) throw new AppError("overloaded");
    this.#inFlight++;
    // A key that may only write is told of its command and reads nothing.
    const follows = type === "send" && permits(this.#identity, "conversations.read");
    const made = follows && !this.#held.has(conversation) ? this.#hold(conversation) : null;
    const undo = (): void => {
      if (made !== null && !made.subscription.begun && this.#held.get(conversation) === made) {
        this.#drop(conversation);
      }
    };
    try {
      const ref = conversationRef(this.#identity, conversation);
      const request = { ref, name: type, id, data };
      const launched = command(this.#service, this.#identity, request, (outcome) => {
        this.#inFlight--;
        if (this.#closed) return;
        if (!outcome.ok) {
          undo();
          return this.#answer(id, outcome.error);
        }
        const { revision, sequence: seq } = outcome;
        this.#send({ type: "ack", id, conversation, revision, seq });
        if (made !== null) this.#beginBefore(made, id, outcome);
      });
      this.#launches.set(conversation, launched);
      await launched.finally(() => {
        if (this.#launches.get(conversation) === launched) this.#launches.delete(conversation);
      });
    } catch (error) {
      this.#inFlight--;
      undo();
      throw error;
    }
  }

  /** A `send` subscribes its sender, from the revision before its commit. */
  #beginBefore(held: Held, id: string, outcome: Extract<Outcome, { ok: true }>): void {
    const { commit, revision, sequence } = outcome;
    if (commit !== null) return held.subscription.begin(start(commit.revision - 1), null);
    this.#service.ports.log
      .at(sequence)
      .then((found) =>
        held.subscription.begin(start(found?.command === id ? found.revision - 1 : revision), null),
      )
      .catch(() => held.subscription.begin(start(0), null));
  }

  async #subscribe(frame: SubscribeFrame): Promise<void> {
    const { id, conversation, after } = frame;
    must(this.#identity, "conversations.read");
    const ref = conversationRef(this.#identity, conversation);
    // A first message sent just before may still be on its way to the log.
    await this.#launches.get(conversation)?.catch(() => {});
    await new Promise<void>((resolve) => this.#service.commands.quiet(ref, resolve));
    const access = await this.#service.owners.access(ref, this.#identity);
    if (access !== "granted") throw new AppError("not_found");
    if (this.#closed) return;
    this.#drop(conversation);
    const held = this.#hold(conversation);
    await held.lease.room.opened;
    if (this.#held.get(conversation) !== held) return;
    if (after !== undefined && after.revision > held.lease.room.position.revision) {
      const last = await this.#service.ports.log.last(ref);
      if (last === null || after.revision >= last.revision + last.events.length) {
        this.#drop(conversation);
        throw new AppError("bad_cursor", "The cursor is ahead of the conversation.");
      }
    }
    held.subscription.begin(positionOf(after), (reached) =>
      this.#send({ type: "subscribed", id, conversation, revision: reached }),
    );
  }

  #hold(conversation: string): Held {
    if (this.#held.size >= limits.subscriptions_per_socket_max) {
      throw new AppError("too_many_subscriptions");
    }
    const ref = conversationRef(this.#identity, conversation);
    const lease = this.#service.rooms.enter(ref);
    const failed = (error: unknown): void => {
      if (error instanceof AppError && error.code === "unshared") {
        if (this.#held.get(conversation) === held) this.#drop(conversation);
        return this.#send({ type: "unsubscribed", conversation, error: error.body() });
      }
      this.#service.ports.report({ what: "a replay failed", ref, error });
      this.fail("unavailable");
    };
    const right = this.#service.owners.right(ref, this.#identity);
    const subscription = new Subscription(lease.room, this.#wire, failed, right);
    const held = { subscription, lease };
    this.#held.set(conversation, held);
    return held;
  }

  #drop(conversation: string): void {
    const held = this.#held.get(conversation);
    if (held === undefined) return;
    this.#held.delete(conversation);
    held.subscription.end();
    held.lease.release();
  }

  async #watch(id: string): Promise<void> {
    must(this.#identity, "conversations.read");
    await this.#list.open(this.#identity);
    this.#send({ type: "watched", id });
  }

  async #renew(token: string): Promise<void> {
    const expiresIn = await this.#credential.renew(token);
    this.#send({ type: "authenticated", expiresIn });
  }

  #warn(): void {
    const detail = "The access token expires soon; renew it with an auth frame.";
    this.#send({ type: "error", ...errorBody("token_expired", detail) });
  }

  #answer(id: string | null, error: ErrorBody): void {
    this.#send(id === null ? { type: "error", ...error } : { type: "nack", id, error });
  }

  #send(frame: ServerFrame): void {
    if (!this.#closed) this.#wire.answer(frame);
  }
}
