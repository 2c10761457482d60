/** What an operation of the HTTP API is given and gives, and how it reads its parameters. */
import { AppError } from "../../schemas/errors.ts";
import { limits } from "../../schemas/limits.ts";
import type { Identity } from "../auth/identity.ts";
import type { Service } from "../service.ts";

/** What a public operation is given: the parts of the request that it may look at. */
export interface Asked<Body = unknown> {
  readonly service: Service;
  readonly query: URLSearchParams;
  /** Fits the operation's schema; undefined when the operation has none. */
  readonly body: Body;
  /** `X-Colloquy-Seq` of the request; 0 when it has none. */
  readonly min_seq: number;
  readonly idempotencyKey: string | null;
  readonly traceparent: string | null;
  /** A part of the path by its name, decoded; it fits the schema of that part. */
  param(name: string): string;
}

/** What every other operation is given: also who asks. */
export interface Call<Body = unknown> extends Asked<Body> {
  readonly who: Identity;
}

/** An answer and the highest EVENTS sequence it shows; 0 when that is not known. */
export interface Shown<T = object | Uint8Array | null> {
  readonly value: T;
  readonly sequence: number;
  /** Where an operation has several: else the only one in its table that is no stream. */
  readonly status?: number;
  readonly headers?: Readonly<Record<string, string>>;
}

/** The page's size. Throws `bad_request`. */
export function limitOf(query: URLSearchParams): number {
  const wished = query.get("limit");
  if (wished === null) return limits.page_default;
  const limit = Number(wished);
  if (!/^\d{1,4}$/.test(wished) || limit < 1 || limit > limits.page_max) {
    throw new AppError("bad_request", `limit is a number from 1 to ${limits.page_max}`);
  }
  return limit;
}

/** A parameter that is one of some words; null when it is absent. Throws `bad_request`. */
export function oneOf<T extends string>(
  query: URLSearchParams,
  name: string,
  values: readonly T[],
): T | null {
  const wished = query.get(name);
  if (wished === null) return null;
  const found = values.find((value) => value === wished);
  if (found === undefined)
    throw new AppError("bad_request", `${name} is one of ${values.join(", ")}`);
  return found;
}

/** A parameter in a form of its own; null when it is absent. Throws `bad_request` with the form. */
export function read<T>(
  query: URLSearchParams,
  name: string,
  parse: (text: string) => T | null,
  form: string,
): T | null {
  const wished = query.get(name);
  if (wished === null) return null;
  const value = parse(wished);
  if (value === null) throw new AppError("bad_request", `${name} is ${form}`);
  return value;
}
