/** What can be wrong with the log itself. Each names the sequence and the subject, so that an operator can look. */
import { AppError } from "../schemas/errors.ts";
import type { ActorRef } from "../schemas/ids.ts";
import { parseEventSubject } from "../schemas/subjects.ts";

/** Where a message lies in EVENTS. */
export interface Place {
  readonly subject: string;
  readonly sequence: number;
  /** The number of the commit's first event, where that much could be read. */
  readonly revision?: number;
}

/** The stored bytes are not a commit that this code can read. */
export class DamagedCommit extends Error {
  readonly place: Place;
  readonly reason: string;
  /** The actor; null when not even its subject names one. */
  readonly ref: ActorRef | null;

  constructor(place: Place, reason: string, options?: ErrorOptions) {
    super(
      `the commit at EVENTS sequence ${place.sequence} (${place.subject}) cannot be read: ${reason}`,
      options,
    );
    this.name = "DamagedCommit";
    this.place = place;
    this.reason = reason;
    this.ref = parseEventSubject(place.subject);
  }
}

/** The event's type or version is not known to this release. */
export class UnknownEvent extends DamagedCommit {
  constructor(place: Place, reason: string, options?: ErrorOptions) {
    super(place, reason, options);
    this.name = "UnknownEvent";
  }
}

/** A commit does not follow the one before it: the line of an actor is broken (I3). */
export class BrokenChain extends Error {
  readonly place: Place;

  constructor(place: Place, reason: string) {
    super(
      `the chain of ${place.subject} is broken at EVENTS sequence ${place.sequence}: ${reason}`,
    );
    this.name = "BrokenChain";
    this.place = place;
  }
}

/** Any failure to talk to NATS, as its sender may read it. */
export const unavailable = (what: string, cause: unknown): AppError =>
  cause instanceof AppError
    ? cause
    : new AppError(
        "unavailable",
        `${what}: ${cause instanceof Error ? cause.message : String(cause)}.`,
        { cause },
      );
