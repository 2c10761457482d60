/**
 * A gateway in this process on a real nats-server, a real worker, real read models and a scripted
 * provider; tests may replace one of its ports. Foreign clients talk to it (foreign.ts).
 */
import { MemoryLimiter } from "../../cache/memory-limiter.ts";
import { issueAccessToken } from "../../gateway/auth/access-token.ts";
import { type KeyRing, openKeyRing } from "../../gateway/auth/key-ring.ts";
import type { GatewayPorts } from "../../gateway/ports.ts";
import { type Gateway, type GatewayOptions, startGateway } from "../../gateway/server.ts";
import { leaseOf } from "../../projections/generations.ts";
import { logSource } from "../../projections/log-source.ts";
import { connectDatabase } from "../../projections/postgres.ts";
import { projectors } from "../../projections/projectors/all.ts";
import { openQueries, type Queries } from "../../projections/queries/queries.ts";
import type { FollowPositions } from "../../projections/queries/freshness.ts";
import { startRunner } from "../../projections/runner.ts";
import type { Role } from "../../schemas/permissions.ts";
import { systemClock, systemIds } from "../../schemas/ids.ts";
import type { Rates } from "../../schemas/rates.ts";
import { commandPublisher } from "../../streams/queue/commands.ts";
import { holdLeases } from "../../streams/queue/leases.ts";
import { announcePosition, followPositions } from "../../streams/live/positions.ts";
import { readBatches } from "../../streams/log/reader.ts";
import { startWorld, type Worker, type World } from "../actors/worker.ts";
import { dialects } from "../projections/databases.ts";
import { secret, type Server, type System } from "../streams/system.ts";
import { pulse } from "../support/pulse.ts";
import { type Foreign, openForeign } from "./foreign.ts";

/** The keys of the gateways that tests start. */
export const ring: KeyRing = openKeyRing({ secrets: [secret] });
export const no_limits: Rates = {
  ...{ commands: 0, wsCommands: 0, reads: 0, tenantCommands: 0, signIns: 0, refused: 0 },
  ...{ handshakes: 0, connectionsPerUser: 0, connectionsPerIp: 0 },
};

export interface Running {
  readonly world: World;
  /** The first worker. */
  readonly worker: Worker;
  readonly gateway: Gateway;
  /** What was reported as a fault; empty in a healthy run. */
  readonly problems: readonly string[];
  readonly queries: Queries;
  /** Another gateway of the same system; `change` replaces ports, `options` where it listens. */
  another(change?: Partial<GatewayPorts>, options?: Partial<GatewayOptions>): Promise<Gateway>;
  token(user?: string, tenant?: string, ttl_s?: number, role?: Role): Promise<string>;
  /** A socket, once it is told that it is ready. */
  connect(options?: { user?: string; tenant?: string; at?: Gateway }): Promise<Foreign>;
  http(
    method: string,
    path: string,
    options?: {
      body?: unknown;
      user?: string;
      tenant?: string;
      role?: Role;
      headers?: Record<string, string>;
    },
  ): Promise<{ status: number; body: Record<string, unknown>; headers: Headers }>;
  stop(): Promise<void>;
}

/** Starts everything, maybe on a system that is there; whoever asks for it stops it. */
export async function startRunning(
  given?: System<Server>,
  options: Parameters<World["worker"]>[0] = {},
): Promise<Running> {
  const ends: (() => Promise<void> | void)[] = [];
  const problems: string[] = [];
  const report: GatewayPorts["report"] = ({ what, error }) => {
    problems.push(`${what}: ${String(error)}`);
  };
  const dialect = dialects.findLast(({ missing }) => !missing);
  if (dialect === undefined) throw new Error("no database");
  const [world, served] = await Promise.all([startWorld(given), dialect.start()]);
  ends.push(
    () => world.stop(),
    () => served.stop(),
  );
  const database = await connectDatabase(served.url);
  ends.push(() => database.close());
  const { streams, vault, log } = await world.system.client();
  const names = projectors.map(leaseOf);
  const leases = await holdLeases(streams, names, { holder: systemIds(), clock: systemClock });
  ends.push(() => leases.release());
  /** Read models that are there: until then whoever reads is told that they are not. */
  const shown = new Set<string>();
  const news = pulse();
  const runner = startRunner({
    source: logSource(log, (options) => readBatches(streams, vault, options)),
    announce(projector, sequence) {
      announcePosition(streams, projector, sequence);
      shown.add(projector);
      news.beat();
    },
    ...{ leases, database, projectors, clock: systemClock, report },
  });
  ends.push(() => runner.stop());
  await news.until(() => shown.size === projectors.length);
  const worker = await world.worker(options);
  const follow: FollowPositions = (call) => followPositions(streams, call);
  const queries = openQueries(database, follow, (sequence) => runner.want(sequence));
  ends.push(() => queries.stop());
  const another: Running["another"] = async (change = {}, options = {}) => {
    const client = await world.system.client();
    const ports: GatewayPorts = {
      ...client,
      ...{
        queries,
        ring,
        issuers: [],
        accountsKey: new Uint8Array(32).fill(7),
        report,
        clock: systemClock,
        ids: systemIds,
      },
      ...{ registration: "open", firstTenant: "main" },
      publish: commandPublisher(client.streams, secret),
      limiter: new MemoryLimiter(() => Date.now()),
      // What tests do in a second is more than a user may do in a minute.
      rates: no_limits,
      metricsToken: null,
      trustedProxies: [],
      ready: async () => ({ ready: runner.caughtUp(), checks: [] }),
      models: () => [{ id: "scripted", provider: "openai-compatible" }],
      feed: () => null,
      knowsModel: (name) => name === "scripted",
      embed: null,
      page: new Map(),
      local: null,
      accessLog: null,
      ...change,
    };
    const address = { host: "127.0.0.1", port: 0, corsOrigins: [] };
    const made = await startGateway(ports, { ...address, ...options });
    ends.push(() => made.stop(500));
    return made;
  };
  const gateway = await another();
  const token: Running["token"] = async (
    user = "ann",
    tenant = "acme",
    ttl_s = 3_600,
    role = "member",
  ) => issueAccessToken(ring, { tenant, user, role }, ttl_s, Date.now());
  return {
    ...{ world, worker, gateway, problems, queries, another, token },
    async stop() {
      for (const end of ends.splice(0).reverse()) await end();
    },
    async connect({ user, tenant, at = gateway } = {}) {
      const foreign = openForeign(at.url, await token(user, tenant));
      ends.push(() => foreign.end());
      await foreign.next(({ type }) => type === "ready");
      return foreign;
    },
    async http(method, path, { body, user, tenant, role, headers = {} } = {}) {
      const response = await fetch(`${gateway.url}${path}`, {
        method,
        headers: {
          authorization: `Bearer ${await token(user, tenant, undefined, role)}`,
          ...(body === undefined ? {} : { "content-type": "application/json" }),
          ...headers,
        },
        ...(body === undefined ? {} : { body: JSON.stringify(body) }),
      });
      const text = await response.text();
      const parsed: unknown = text === "" ? {} : JSON.parse(text);
      // Every answer of the API that has a body is an object.
      return {
        status: response.status,
        body: parsed as Record<string, unknown>,
        headers: response.headers,
      };
    },
  };
}
