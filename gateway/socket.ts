/**
 * One WebSocket of `GET /ws/chat`: its frames in, its subscriptions, its token's life. Every bad
 * frame gets one coded error and the socket stays, up to the limit; nothing a client sends reaches
 * another tenant (I10), and everything it holds is bounded (I11).
 */
import { AppError, type ErrorBody, type ErrorCode, errorBody, errors } from "../schemas/errors.ts";
import {
  type After,
  type ClientFrame,
  clientFrameChecks,
  type ConversationChange,
  isClientFrameType,
  readyLimits,
  type ServerFrame,
} from "../schemas/frames.ts";
import { isUuid } from "../schemas/ids.ts";
import { limits } from "../schemas/limits.ts";
import { parseJson } from "../schemas/validate.ts";
import { type Identity, must } from "./auth/identity.ts";
import type { Outcome } from "./commands.ts";
import type { Position } from "./cursor.ts";
import { frame_classes } from "./limits/classes.ts";
import { type Admission, type Caller, limitedBody } from "./limits/gate.ts";
import type { RoomLease } from "./rooms.ts";
import { command, conversationRef, type Service } from "./service.ts";
import { type Outlet, Subscription } from "./subscription.ts";
import type { Watcher } from "./watch.ts";

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
  #identity: Identity;
  readonly #held = new Map<string, Held>();
  #watcher: Watcher | null = null;
  #malformed: number[] = [];
  #timers: (() => void)[] = [];
  #release = (): void => undefined;
  /** Commands that are not in flight yet; a `subscribe` behind one waits for it. */
  readonly #launches = new Map<string, Promise<void>>();
  #inFlight = 0;
  /** The last of the frames that wait until Redis has said whether they may pass, in their order. */
  #line: Promise<void> | null = null;
  #lined = 0;
  #frames = 0;
  #framesSince = 0;
  readonly #caller: Caller;
  /** Changes that wait until the socket is read. */
  readonly #changes = new Map<string, ConversationChange>();
  #closed = false;

  constructor(service: Service, wire: Wire, identity: Identity, caller: Caller) {
    this.#service = service;
    this.#wire = wire;
    this.#identity = identity;
    this.#caller = caller;
  }

  open(): void {
    const { user, tenant } = this.#identity;
    this.#wire.send({ type: "ready", user, tenant, limits: readyLimits });
    this.#watchToken();
    this.#holdCredential();
  }

  drained(): void {
    for (const [id, conversation] of this.#changes) {
      if (!this.#wire.writable()) return;
      this.#changes.delete(id);
      this.#send({ type: "changed", conversation });
    }
    for (const { subscription } of this.#held.values()) subscription.drained();
  }

  closed(): void {
    this.#closed = true;
    this.#release();
    for (const cancel of this.#timers.splice(0)) cancel();
    for (const conversation of [...this.#held.keys()]) this.#drop(conversation);
    if (this.#watcher !== null) this.#service.watches.leave(this.#watcher);
    this.#watcher = null;
  }

  /** Tells the client why, then closes with the code's close code. */
  fail(code: ErrorCode, detail?: string): void {
    if (this.#closed) return;
    this.#send({ type: "error", ...errorBody(code, detail) });
    this.#wire.close(errors[code].close ?? 1011, code);
  }

  /** A text frame, at most `frame_bytes_max` long. */
  text(text: string): void {
    if (this.#closed || this.#floods()) return;
    const value = parseJson(text);
    if (typeof value !== "object" || value === null || Array.isArray(value)) {
      return this.#refuse(null, value === undefined ? "bad_json" : "bad_request");
    }
    // A plain object by the line above.
    const fields = value as Readonly<Record<string, unknown>>;
    const id = isUuid(fields["id"]) ? fields["id"] : null;
    const type = fields["type"];
    if (!isClientFrameType(type)) return this.#refuse(id, "unknown_type");
    const parsed = clientFrameChecks[type].parse(value);
    if (!parsed.ok) {
      const long =
        typeof fields["text"] === "string" && fields["text"].length > limits.text_chars_max;
      return this.#refuse(
        id,
        long ? "text_too_long" : "bad_request",
        long ? undefined : parsed.problem,
      );
    }
    this.#admit(parsed.value);
  }

  /** Lets a frame pass or refuses it; whatever waits, the order of frames stays. */
  #admit(frame: ClientFrame): void {
    const cls = frame_classes[frame.type];
    const admission = cls === null ? null : this.#service.gate.admit(cls, this.#caller);
    if (!(admission instanceof Promise) && this.#line === null) {
      return this.#admitted(frame, admission);
    }
    if (this.#lined >= limits.commands_per_socket_max) {
      return this.#answer("id" in frame ? frame.id : null, errorBody("overloaded"));
    }
    this.#lined++;
    const line = Promise.all([admission, this.#line]).then(([judged]) => {
      this.#lined--;
      if (this.#line === line) this.#line = null;
      if (!this.#closed) this.#admitted(frame, judged);
    });
    this.#line = line;
  }

  #admitted(frame: ClientFrame, admission: Admission | null): void {
    if (admission === null || admission.admitted) return this.#frame(frame);
    this.#answer("id" in frame ? frame.id : null, limitedBody(admission));
  }

  /** Closes a socket that sends far more than anybody may: refusing each costs as much as doing it. */
  #floods(): boolean {
    const { clock, rates } = this.#service.ports;
    const now = clock.now();
    if (now - this.#framesSince >= limits.frames_window_ms) {
      this.#framesSince = now;
      this.#frames = 0;
    }
    this.#frames++;
    const allowed = rates.wsCommands === 0 ? Number.POSITIVE_INFINITY : rates.wsCommands;
    if (this.#frames <= Math.max(limits.frames_per_socket_max, allowed)) return false;
    this.fail("flooding");
    return true;
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
    const made = type === "send" && !this.#held.has(conversation) ? this.#hold(conversation) : null;
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

  /** Of a socket that does not read only the last change of each conversation is kept. */
  #changed(conversation: ConversationChange): void {
    if (this.#changes.size === 0 && this.#wire.writable()) {
      return this.#send({ type: "changed", conversation });
    }
    this.#changes.delete(conversation.id);
    this.#changes.set(conversation.id, conversation);
    if (this.#changes.size <= limits.changes_unread_max) return;
    for (const oldest of this.#changes.keys()) {
      this.#changes.delete(oldest);
      break;
    }
  }

  async #watch(id: string): Promise<void> {
    must(this.#identity, "conversations.read");
    if (this.#watcher === null) {
      const watcher: Watcher = {
        identity: this.#identity,
        changed: (conversation) => {
          if (this.#watcher === watcher) this.#changed(conversation);
        },
        removed: (conversation) => {
          if (this.#watcher === watcher) this.#send({ type: "removed", conversation });
        },
      };
      this.#watcher = watcher;
      await this.#service.watches.watch(watcher);
    }
    this.#send({ type: "watched", id });
  }

  async #renew(token: string): Promise<void> {
    const { clock } = this.#service.ports;
    const identity = await this.#service.authenticate(token);
    if (this.#closed) return;
    if (identity.tenant !== this.#identity.tenant || identity.user !== this.#identity.user) {
      const detail = "The token is of another user; open another socket.";
      return this.#answer(null, errorBody("unauthenticated", detail));
    }
    this.#identity = identity;
    this.#watchToken();
    this.#holdCredential();
    const expiresIn = Math.floor((identity.expires_ms - clock.now()) / 1000);
    this.#send({ type: "authenticated", expiresIn });
  }

  /** Closes when the session, the key or the membership behind the credential ends. */
  #holdCredential(): void {
    this.#release();
    const { revocations } = this.#service;
    this.#release = revocations.hold(this.#identity, (code) => this.fail(code));
  }

  /** Warns before the token expires, then closes. */
  #watchToken(): void {
    for (const cancel of this.#timers.splice(0)) cancel();
    const { clock } = this.#service.ports;
    // Longer waits than a timer can hold are taken in steps.
    const until = (at_ms: number, call: () => void): void => {
      const wait = Math.max(0, at_ms - clock.now());
      const step = Math.min(wait, 2 ** 30);
      const next = (): void => (step < wait ? until(at_ms, call) : call());
      this.#timers.push(clock.after(step, next));
    };
    const { expires_ms } = this.#identity;
    until(expires_ms - limits.token_warning_ms, () =>
      this.#send({
        type: "error",
        ...errorBody(
          "token_expired",
          "The access token expires soon; renew it with an auth frame.",
        ),
      }),
    );
    until(expires_ms, () => this.fail("token_expired"));
  }

  #refuse(id: string | null, code: ErrorCode, detail?: string): void {
    const now = this.#service.ports.clock.now();
    this.#malformed = this.#malformed.filter((at) => now - at < limits.malformed_frames_window_ms);
    this.#malformed.push(now);
    this.#answer(id, errorBody(code, detail));
    if (this.#malformed.length >= limits.malformed_frames_max) this.fail("too_many_malformed");
  }

  #answer(id: string | null, error: ErrorBody): void {
    this.#send(id === null ? { type: "error", ...error } : { type: "nack", id, error });
  }

  #send(frame: ServerFrame): void {
    if (!this.#closed) this.#wire.answer(frame);
  }
}
