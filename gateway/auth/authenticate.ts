/**
 * The one door: an access token, an API key or another issuer's token becomes an identity, or one
 * coded refusal, the same for HTTP, server-sent events and WebSocket. What can be judged from memory
 * is judged at once; what somebody must be asked for waits, and only so many do (I11).
 *
 * What is refused costs its address something, and past a limit nobody is asked for that address any
 * more, so strangers who invent credentials keep nobody else from using good ones (I10): a token, or a
 * key that was good here before, is judged whatever its address has done.
 */
import { AppError } from "../../schemas/errors.ts";
import type { Clock } from "../../schemas/ids.ts";
import { limits } from "../../schemas/limits.ts";
import type { Exchange } from "../http/exchange.ts";
import { type Admission, type Gate, limitedBody } from "../limits/gate.ts";
import { Turnstile } from "../turnstile.ts";
import { verifyAccessToken } from "./access-token.ts";
import type { Identity } from "./identity.ts";
import type { KeyRing } from "./key-ring.ts";

/**
 * Judges what an address (as clientAddresses gives it) brings; null when it brings nothing. Throws
 * `AppError`, or rejects with it: `unauthenticated`, `token_expired`, `rate_limited`, `overloaded`,
 * `unavailable`.
 */
export type Authenticate = (credential: string | null, ip: string) => Identity | Promise<Identity>;

/** A credential that takes time. */
export interface Pending {
  /** It was good here before, or nobody has to be asked: strangers cannot make many of these wait. */
  readonly familiar: boolean;
  judge(): Promise<Identity>;
}

/** Judges credentials of its own kind; null for those that are not. Throws as `Authenticate` does. */
export type Judge = (credential: string, now_ms: number) => Identity | Pending | null;

export function openAuthenticate(parts: {
  readonly ring: KeyRing;
  readonly clock: Clock;
  /** Asked first, in this order; what none of them takes is one of our own access tokens. */
  readonly judges: readonly Judge[];
  /** Throws when the credential was revoked in the meantime. */
  readonly refuse: (who: Identity) => void;
  readonly gate: Pick<Gate, "stranger" | "refusing">;
}): Authenticate {
  const { ring, clock, judges, refuse, gate } = parts;
  const strangers = waitingRoom(limits.credentials_judged_per_ip_max);
  const familiars = waitingRoom(limits.credentials_judged_max);
  const admitted = (who: Identity): Identity => {
    refuse(who);
    return who;
  };
  const wait = async (
    judge: Pending["judge"],
    ip: string,
    leave: () => void,
  ): Promise<Identity> => {
    try {
      return admitted(await judge());
    } catch (error) {
      if (isRefusal(error)) gate.refusing(ip);
      throw error;
    } finally {
      leave();
    }
  };
  const judged = (credential: string, ip: string): Identity | Promise<Identity> => {
    if (credential.length > limits.credential_chars_max) throw new AppError("unauthenticated");
    const now_ms = clock.now();
    for (const judge of judges) {
      const found = judge(credential, now_ms);
      if (found === null) continue;
      if (!("judge" in found)) return admitted(found);
      const admission = found.familiar ? null : gate.stranger(ip);
      if (admission?.admitted === false) throw limited(admission);
      const room = found.familiar ? familiars : strangers;
      return wait(() => found.judge(), ip, room.enter(ip));
    }
    return admitted(verifyAccessToken(ring, credential, now_ms));
  };
  return (credential, ip) => {
    try {
      if (credential === null) throw new AppError("unauthenticated");
      return judged(credential, ip);
    } catch (error) {
      throw isRefusal(error) ? refusedAt(gate, ip, error) : error;
    }
  };
}

/** Counts a credential that this address brought in vain; what to refuse it with. */
export function refusedAt(
  gate: Pick<Gate, "refusing">,
  ip: string,
  refusal: AppError = new AppError("unauthenticated"),
): AppError {
  const admission = gate.refusing(ip);
  return admission.admitted ? refusal : limited(admission);
}

const waitingRoom = (each_max: number): Turnstile =>
  new Turnstile(limits.credentials_judged_max, each_max, "overloaded");

/** What an invented credential is told. One that was good and has expired was not invented. */
const isRefusal = (error: unknown): error is AppError =>
  error instanceof AppError && error.code === "unauthenticated";

const limited = (admission: Admission): AppError =>
  new AppError("rate_limited", limitedBody(admission).message, { retry_s: admission.retry_s });

/** `Authorization: Bearer …`; null when there is none. */
export const bearerOf = (exchange: Exchange): string | null =>
  /^Bearer ([^\s]+)$/i.exec(exchange.header("authorization"))?.[1] ?? null;

/** The credential of a WebSocket: the header, else the subprotocol `bearer.<credential>` of browsers. */
export function socketBearerOf(exchange: Exchange): string | null {
  const offered = offeredBy(exchange).find((name) => name.startsWith("bearer."));
  return bearerOf(exchange) ?? offered?.slice("bearer.".length) ?? null;
}

/** The subprotocols that a WebSocket offers. */
export const offeredBy = (exchange: Exchange): readonly string[] =>
  exchange
    .header("sec-websocket-protocol")
    .split(",")
    .map((name) => name.trim());
