/** What the gateway is given by `cli/wire.ts`: it never imports an actor or a model. */
import type { Limiter } from "../cache/limiter.ts";
import type { Queries } from "../projections/queries/queries.ts";
import type { ActorRef, Clock, Ids } from "../schemas/ids.ts";
import type { Readiness } from "../schemas/http.ts";
import type { Issuer } from "../schemas/issuers.ts";
import type { Embed } from "../schemas/models.ts";
import type { Rates } from "../schemas/rates.ts";
import type { CommandPublisher } from "../streams/queue/commands.ts";
import type { Streams } from "../streams/connection.ts";
import type { Registration } from "./auth/membership.ts";
import type { KeyRing } from "./auth/key-ring.ts";
import type { Log } from "../streams/log/log.ts";
import type { Vault } from "../streams/content/vault.ts";

/** One file of the page. */
export interface Asset {
  /** The media type, with its charset. */
  readonly type: string;
  readonly bytes: Uint8Array;
  /** A strong validator, in quotes. */
  readonly etag: string;
}

/** Something that should be looked at by whoever runs this; never throws. */
export type Report = (problem: {
  readonly what: string;
  readonly ref?: ActorRef;
  readonly error?: unknown;
}) => void;

/** Where the access log goes; never throws and never waits. */
export interface AccessLog {
  /** One line, without its end. */
  write(line: string): void;
  /** Lines that were dropped, since nobody took those before them. */
  dropped(): number;
}

export interface GatewayPorts {
  readonly streams: Streams;
  readonly vault: Vault;
  readonly log: Log;
  readonly queries: Queries;
  readonly publish: CommandPublisher;
  /** Signs and checks access tokens. */
  readonly ring: KeyRing;
  /** Makes the ids of accounts, and the refresh tokens that follow others. */
  readonly accountsKey: Uint8Array;
  readonly registration: Registration;
  /** The tenant that the first account of the installation owns. */
  readonly firstTenant: string;
  /** Whose tokens are believed besides. */
  readonly issuers: readonly Issuer[];
  /** Counts requests; `shared` when other processes count with it. */
  readonly limiter: Limiter & { readonly shared?: boolean; readonly falls?: number };
  readonly rates: Rates;
  /** What a scraper of `/metrics` has to bring; null when everybody may read them. */
  readonly metricsToken: string | null;
  /** Addresses and networks whose `X-Forwarded-For` is believed. */
  readonly trustedProxies: readonly string[];
  /** Null where nobody wants to know. */
  readonly accessLog: AccessLog | null;
  readonly clock: Clock;
  readonly ids: Ids;
  readonly report: Report;
  ready(): Promise<Readiness>;
  /** The EVENTS sequence up to which the feed tells everything; null while nobody writes it. */
  feed(): number | null;
  models(): readonly { readonly id: string; readonly provider: string }[];
  knowsModel(name: string): boolean;
  /** Null where no provider is configured. */
  readonly embed: Embed | null;
  /** The web app: URL path → asset. */
  readonly page: ReadonlyMap<string, Asset>;
  /** Who the page's visitor is when embedded; null when visitors must bring a token. */
  readonly local: { readonly tenant: string; readonly user: string } | null;
}
