/**
 * Commands in flight: published with a reply subject, answered by the worker's reply or, when that
 * is lost, by the commit in the live lane that names the command, whichever comes first. Answers are
 * given synchronously, so that an `ack` is written before the events of its commit.
 */
import { FairQueue } from "../cache/fair-queue.ts";
import { type Commit, lastRevision, refusalOf } from "../schemas/commit.ts";
import { AppError, errorBody, type ErrorBody } from "../schemas/errors.ts";
import { type ActorRef, type By, type Clock, refKey } from "../schemas/ids.ts";
import { limits } from "../schemas/limits.ts";
import type { Lanes } from "./live/lanes.ts";
import type { CommandPublisher } from "../streams/queue/commands.ts";

export interface Request {
  readonly ref: ActorRef;
  readonly name: string;
  readonly id: string;
  readonly data: object;
  readonly by: By;
  /** May act on what integrations of the tenant began. */
  readonly manages?: boolean;
  readonly traceparent: string | null;
}

/** `commit` is there when the live lane answered before the worker's reply did. */
export type Outcome =
  | {
      readonly ok: true;
      readonly revision: number;
      readonly sequence: number;
      readonly commit: Commit | null;
    }
  | { readonly ok: false; readonly error: ErrorBody };

interface Flight {
  readonly tenant: string;
  readonly actor: string;
  readonly by: string;
  readonly calls: ((outcome: Outcome) => void)[];
  readonly end: (() => void)[];
  published: boolean;
}

/** Where answers come. */
type AnswerLanes = Pick<Lanes, "onReply" | "replySubject">;

/** A command's id is its actor's: elsewhere the same one is another command. */
const keyOf = (ref: ActorRef, command: string): string => `${refKey(ref)} ${command}`;

export class Commands {
  readonly #flights = new Map<string, Flight>();
  /** How many of them each tenant has. */
  readonly #tenants = new Map<string, number>();
  readonly #lanes: AnswerLanes;
  readonly #publisher: CommandPublisher;
  readonly #clock: Clock;
  /** Whose command is published next: many of one tenant never stand before another's one. */
  readonly #turns: FairQueue;

  constructor(lanes: AnswerLanes, publisher: CommandPublisher, clock: Clock) {
    this.#lanes = lanes;
    this.#publisher = publisher;
    this.#clock = clock;
    this.#turns = new FairQueue(clock, limits.commands_in_flight_per_tenant_max);
  }

  /** Sends a command; `settled` is called exactly once, never before this returns. */
  run(request: Request, settled: (outcome: Outcome) => void): void {
    const { ref, id, by } = request;
    const key = keyOf(ref, id);
    const same = this.#flights.get(key);
    if (same?.by === by.id) {
      same.calls.push(settled);
      return;
    }
    // Whether the other sender may do this says nothing about this one.
    const refusal =
      same !== undefined
        ? errorBody("id_taken")
        : // Alone, too: whoever comes next finds room.
          (this.#tenants.get(ref.tenant) ?? 0) >= limits.commands_in_flight_per_tenant_max
          ? errorBody("tenant_busy")
          : this.#flights.size >= limits.commands_in_flight_max
            ? errorBody("overloaded")
            : null;
    if (refusal !== null) {
      queueMicrotask(() => settled({ ok: false, error: refusal }));
      return;
    }
    const { tenant } = ref;
    const flight: Flight = {
      ...{ tenant, actor: refKey(ref), by: by.id, calls: [settled], end: [] },
      published: false,
    };
    this.#flights.set(key, flight);
    this.#tenants.set(tenant, (this.#tenants.get(tenant) ?? 0) + 1);
    try {
      const withdraw = this.#turns.enter(ref.tenant, (leave) => {
        flight.end.push(leave);
        flight.published = true;
        this.#publish(key, request);
      });
      flight.end.push(() => void withdraw());
    } catch (error) {
      this.#forget(key, flight);
      const busy = error instanceof AppError ? error.body() : errorBody("internal");
      queueMicrotask(() => settled({ ok: false, error: busy }));
      return;
    }
    flight.end.push(
      this.#lanes.onReply(ref, id, (reply) =>
        this.#settle(
          key,
          reply.ok
            ? { ok: true, revision: reply.revision, sequence: reply.sequence, commit: null }
            : { ok: false, error: reply.error },
        ),
      ),
      this.#clock.after(limits.command_answer_ms, () =>
        this.#settle(key, {
          ok: false,
          // What was not published yet will not take effect either.
          error: errorBody(flight.published ? "command_unanswered" : "tenant_busy"),
        }),
      ),
    );
  }

  #publish(key: string, request: Request): void {
    this.#publisher
      .publish({ ...request, reply: this.#lanes.replySubject(request.ref) })
      .catch((error: unknown) =>
        this.#settle(key, {
          ok: false,
          error: error instanceof AppError ? error.body() : errorBody("unavailable"),
        }),
      );
  }

  /** A commit was seen: it answers the command it names. */
  noticed(commit: Commit): void {
    const key = keyOf(commit.ref, commit.command);
    if (!this.#flights.has(key)) return;
    const { sequence, events } = commit;
    const refusal = refusalOf(events);
    if (refusal !== null) return this.#settle(key, { ok: false, error: errorBody(refusal) });
    this.#settle(key, { ok: true, revision: lastRevision(commit), sequence, commit });
  }

  /** Calls when no command of this actor is in flight here; at once when none is. */
  quiet(ref: ActorRef, call: () => void): void {
    const actor = refKey(ref);
    for (const flight of this.#flights.values()) {
      if (flight.actor !== actor) continue;
      flight.calls.push(() => this.quiet(ref, call));
      return;
    }
    call();
  }

  get inFlight(): number {
    return this.#flights.size;
  }

  /** Of these, not published yet. */
  get waiting(): number {
    return this.#turns.waiting;
  }

  #settle(key: string, outcome: Outcome): void {
    const flight = this.#flights.get(key);
    if (flight === undefined) return;
    this.#forget(key, flight);
    for (const end of flight.end) end();
    for (const call of flight.calls) call(outcome);
  }

  #forget(key: string, { tenant }: Flight): void {
    this.#flights.delete(key);
    const left = (this.#tenants.get(tenant) ?? 1) - 1;
    if (left === 0) this.#tenants.delete(tenant);
    else this.#tenants.set(tenant, left);
  }
}
