/**
 * How often who may ask: the classes of requests, what each is counted by, and the numbers that an
 * operator sets. One table: the gateway enforces it, docs/OPERATING.md shows it.
 */
import { limits } from "./limits.ts";

/** `command` and `read` are requests over HTTP, `ws-command` frames, `refused` credentials. */
export const limit_classes = [
  "command",
  "ws-command",
  "cancel",
  "subscribe",
  "connect",
  "read",
  "sign-in",
  "refused",
] as const;
export type LimitClass = (typeof limit_classes)[number];

/**
 * What a class is counted by. An API key is counted in the place of its user; `account-ip` is one
 * account from one IP address.
 */
export const limit_scopes = ["user", "key", "tenant", "account", "account-ip", "ip"] as const;
export type LimitScope = (typeof limit_scopes)[number];

/** What an operator sets; 0 switches a limit off. */
export interface Rates {
  /** Of one user over HTTP, in 60 s. */
  readonly commands: number;
  /** Of one user over WebSocket, in 60 s. */
  readonly wsCommands: number;
  /** Of one user, in 60 s. */
  readonly reads: number;
  /** Of one tenant, both ways together, in 60 s. */
  readonly tenantCommands: number;
  /** Of one user, and from one IP address, in 60 s. */
  readonly handshakes: number;
  /** Sign-ins, registrations and refreshes from one IP address, in 60 s. */
  readonly signIns: number;
  /** Credentials from one IP address that are refused, in 60 s. */
  readonly refused: number;
  /** Open sockets. */
  readonly connectionsPerUser: number;
  readonly connectionsPerIp: number;
}

export const default_rates: Rates = {
  commands: 100,
  wsCommands: 600,
  reads: 0,
  tenantCommands: 60_000,
  handshakes: 6_000,
  signIns: 300,
  refused: 600,
  connectionsPerUser: 1_000,
  connectionsPerIp: 20_000,
};

/** Many people may be behind one address. */
const people_per_ip = 10;
const minute_ms = 60_000;

export interface Rate {
  readonly kind: "window" | "bucket";
  readonly limit: number;
  readonly period_ms: number;
}

/** Exact where it is small enough to remember every request; above that a bucket. */
function rate(limit: number, period_ms = minute_ms): Rate | null {
  const whole = Math.ceil(limit);
  if (whole === 0) return null;
  return {
    kind: whole <= limits.limiter_window_max ? "window" : "bucket",
    limit: whole,
    period_ms,
  };
}
const bucket = (limit: number, period_ms: number): Rate | null =>
  limit === 0 ? null : { kind: "bucket", limit: Math.ceil(limit), period_ms };

export type RateTable = Readonly<Record<LimitClass, Readonly<Record<LimitScope, Rate | null>>>>;

/** Which limit holds for a class and what it is counted by; null where there is none. */
export function rateTable(rates: Rates): RateTable {
  const of = (user: number, tenant: number): RateTable["command"] => ({
    user: rate(user),
    key: rate(user),
    tenant: rate(tenant),
    account: null,
    "account-ip": null,
    ip: rate(user * people_per_ip),
  });
  const none = {
    ...{ user: null, key: null, tenant: null, account: null, "account-ip": null, ip: null },
  };
  const try_ms = people_per_ip * minute_ms;
  return {
    command: of(rates.commands, rates.tenantCommands),
    "ws-command": of(rates.wsCommands, rates.tenantCommands),
    // Whoever may begin so much must be able to end it, by either way.
    cancel: of(2 * Math.max(rates.commands, rates.wsCommands), 0),
    // A page that comes back follows all that it followed.
    subscribe: of(10 * rates.wsCommands, 0),
    // Of a user as of an address: one program may hold hundreds of conversations over a bad network.
    connect: { ...none, user: rate(rates.handshakes), ip: rate(rates.handshakes) },
    read: of(rates.reads, 0),
    // A burst for whoever has forgotten which password it was, then one in 20 s. Whoever guesses from
    // one address keeps the account from nobody else's: all addresses together have ten times that.
    "sign-in": {
      ...none,
      account: bucket(rates.signIns, try_ms),
      "account-ip": bucket(rates.signIns / people_per_ip, try_ms),
      ip: bucket(rates.signIns, minute_ms),
    },
    // Good ones are not counted, so that whoever shares an address with a guesser is let in.
    refused: { ...none, ip: bucket(rates.refused, minute_ms) },
  };
}
