/**
 * The one door: an access token, an API key or another issuer's token becomes an identity, or one
 * coded refusal, the same for HTTP, server-sent events and WebSocket. What can be judged from memory
 * is judged at once; only an unknown key or an unknown issuer's key waits, and only so many do (I11).
 */
import { AppError } from "../../schemas/errors.ts";
import type { Clock } from "../../schemas/ids.ts";
import { limits } from "../../schemas/limits.ts";
import type { Exchange } from "../http/exchange.ts";
import { verifyAccessToken } from "./access-token.ts";
import type { Identity } from "./identity.ts";
import type { KeyRing } from "./key-ring.ts";

/** Throws `AppError`, or rejects with it: `unauthenticated`, `token_expired`, `overloaded`, `unavailable`. */
export type Authenticate = (credential: string) => Identity | Promise<Identity>;

/** Judges credentials of its own kind; null for those that are not. Throws as `Authenticate` does. */
export type Judge = (credential: string, now_ms: number) => Identity | Promise<Identity> | null;

export function openAuthenticate(parts: {
  readonly ring: KeyRing;
  readonly clock: Clock;
  /** Asked first, in this order; what none of them takes is one of our own access tokens. */
  readonly judges: readonly Judge[];
  /** Throws when the credential was revoked in the meantime. */
  readonly refuse: (who: Identity) => void;
}): Authenticate {
  const { ring, clock, judges, refuse } = parts;
  let waiting = 0;
  const admitted = (who: Identity): Identity => {
    refuse(who);
    return who;
  };
  const wait = async (judged: Promise<Identity>): Promise<Identity> => {
    waiting += 1;
    try {
      return admitted(await judged);
    } finally {
      waiting -= 1;
    }
  };
  return (credential) => {
    if (credential.length > limits.credential_chars_max) throw new AppError("unauthenticated");
    const now_ms = clock.now();
    for (const judge of judges) {
      const judged = judge(credential, now_ms);
      if (judged === null) continue;
      if (!(judged instanceof Promise)) return admitted(judged);
      if (waiting < limits.credentials_judged_max) return wait(judged);
      judged.catch(() => undefined);
      throw new AppError("overloaded", "Too many credentials are being looked up; try again.");
    }
    return admitted(verifyAccessToken(ring, credential, now_ms));
  };
}

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
