/**
 * One operation of the HTTP API as a value. Each `…-api.ts` exports its `operations`; `routes.ts` joins
 * them, and what it does with a request (who may, which limit, which body) and what `/openapi.json`
 * says of it are made of the same value, so that they cannot disagree.
 */
import type { ErrorCode } from "../../schemas/errors.ts";
import type { Permission } from "../../schemas/permissions.ts";
import type { AnySchema, ObjectSchema, Of, Schema } from "../../schemas/validate.ts";
import type { Asked, Call, Shown } from "./call.ts";
import type { Exchange } from "./exchange.ts";

export type Method = "GET" | "POST" | "PUT" | "PATCH" | "DELETE";

/** The limits that a request can be counted against; `none` is for probes. */
export type LimitKind = "read" | "command" | "cancel" | "sign-in" | "none";

export type Tag =
  | "auth"
  | "users"
  | "workspace"
  | "conversations"
  | "messages"
  | "history"
  | "usage"
  | "models"
  | "openai"
  | "agents"
  | "webhooks"
  | "service";

/** Whether it sends a command of its caller, which an `Idempotency-Key` makes repeatable. */
export const commands = ({ limit }: Pick<Operation, "limit">): boolean =>
  limit === "command" || limit === "cancel";

/** What `run` gives when it has answered by itself, or will: a stream. */
export const taken = "taken";

interface Described<Body extends Schema> {
  /** Unique, camelCase: the `operationId`. */
  readonly id: string;
  readonly method: Method;
  /** `{name}` stands for one part of a path; it is a UUID unless `params` says otherwise. */
  readonly path: `/${string}`;
  readonly summary: string;
  readonly tag: Tag;
  readonly limit: LimitKind;
  /** Parts of the path that are no UUIDs. A part that does not fit is `bad_request`, a UUID's `not_found`. */
  readonly params?: Readonly<Record<string, Schema>>;
  /** Describes the parameters; `run` reads them (call.ts). */
  readonly query?: ObjectSchema;
  /** The body is checked before `run`; an absent one counts as `{}`. */
  readonly body?: Body;
  /** A body may be so long; without it `body_bytes_max`. */
  readonly body_bytes_max?: number;
  /** Successful statuses, or those with bodies of their own. Null has no body. */
  readonly answers: Readonly<Record<number, Schema | null | "stream">>;
  /** With `Accept: text/event-stream` it answers 200 with a stream of events. */
  readonly streams?: true;
  /** The media type of answers that are not JSON; of a stream `text/event-stream` unless named. */
  readonly media?: string;
  /** Codes of problems that are this operation's own. */
  readonly refuses?: readonly ErrorCode[];
}

type Result = Promise<Shown | typeof taken>;

interface Guarded<Body extends Schema> extends Described<Body> {
  readonly access: Permission;
  run(call: Call<Of<Body>>, exchange: Exchange): Result;
}

interface Public<Body extends Schema> extends Described<Body> {
  /** `Authorization` is not looked at. */
  readonly access: "public";
  run(call: Asked<Of<Body>>, exchange: Exchange): Result;
}

export type Operation = Guarded<Schema> | Public<Schema>;

/** An operation for whoever has the permission; `call.body` is of the schema's type. */
export const operation = <Body extends Schema = AnySchema>(given: Guarded<Body>): Operation =>
  given;

/** An operation for everybody. */
export const publicOperation = <Body extends Schema = AnySchema>(given: Public<Body>): Operation =>
  given;
