/**
 * The only file that knows every room: it gives each the ports that it asks for, starts the roles of
 * this process, and stops them in order: no new turn, then the sockets, then what runs, then the rest.
 */
import { hostname } from "node:os";
import { createHost } from "../actors/host.ts";
import type { Ports } from "../actors/ports.ts";
import { MemoryLimiter } from "../cache/memory-limiter.ts";
import type { SharedLimiter } from "../cache/shared-limiter.ts";
import { startGateway } from "../gateway/server.ts";
import { startPublisher } from "../integrations/publisher.ts";
import { startWebhooks } from "../integrations/webhooks/runner.ts";
import { triesInjection } from "../models/injection.ts";
import { createModels, type ModelRegistry } from "../models/registry.ts";
import { extractTitle } from "../models/titler.ts";
import { leaseOf } from "../projections/generations.ts";
import { logSource } from "../projections/log-source.ts";
import { projectors } from "../projections/projectors/all.ts";
import type { FollowPositions } from "../projections/queries/freshness.ts";
import { openQueries, type Queries } from "../projections/queries/queries.ts";
import { type Runner, startRunner } from "../projections/runner.ts";
import { checkpointWitnesses } from "../projections/witnesses.ts";
import { type ActorRef, type Clock, type Ids, systemClock, systemIds } from "../schemas/ids.ts";
import type { Readiness } from "../schemas/http.ts";
import { limits } from "../schemas/limits.ts";
import { startAnchoring } from "../streams/proof/anchoring.ts";
import { snapshotWitnesses } from "../streams/proof/witnesses.ts";
import { openAsking } from "../streams/queue/asking.ts";
import { commandPublisher } from "../streams/queue/commands.ts";
import { ensureConsumers } from "../streams/queue/consumers.ts";
import { holdLeases } from "../streams/queue/leases.ts";
import { type Log, openLog } from "../streams/log/log.ts";
import { readOwnership } from "../streams/queue/ownership.ts";
import { followFeed } from "../streams/feed/reached.ts";
import { announcePosition, followPositions } from "../streams/live/positions.ts";
import { consumeCommands } from "../streams/queue/queue.ts";
import { readBatches } from "../streams/log/reader.ts";
import { replyPort } from "../streams/live/replies.ts";
import { openSnapshots } from "../streams/log/snapshots.ts";
import { textPort } from "../streams/log/texts.ts";
import { openTimers } from "../streams/queue/timers.ts";
import { tokenPort } from "../streams/live/tokens.ts";
import { provision, provisioned } from "../streams/provision.ts";
import { openVault, type Vault } from "../streams/content/vault.ts";
import { joinWorkers } from "../streams/queue/workers.ts";
import { openAccessLog, standardOutput } from "./access-log.ts";
import { codeVersion } from "./code-version.ts";
import type { Config } from "./config.ts";
import { eraseListed, openErasures, rememberOthers } from "./erasures/erasing.ts";
import { checkHead, checkWitnesses, keepHead } from "./folder/head-file.ts";
import { keptLook, missingOf, readiness } from "./readiness.ts";
import type { Services } from "./services.ts";
import { accountsKeyOf, logsAccess, openAiOf, ratesOf, tlsOf } from "./config/settings.ts";
import { webAssets } from "./web-assets.ts";

export const roles = ["gateway", "actors", "projections", "feed"] as const;
export type Role = (typeof roles)[number];

export interface System {
  /** Null without the gateway. */
  readonly url: string | null;
  readonly models: ModelRegistry;
  /** Takes the certificate from its files anew; null when there is none. Throws `unavailable`. */
  readonly reload: (() => void) | null;
  /** Resolves when `/ready` would answer 200, or after `ms` with what is missing; null for nothing. */
  ready(ms: number): Promise<string | null>;
  /** Within `limits.drain_ms`, without the servers. */
  stop(): Promise<void>;
}

type Report = Ports["report"];

/** What every role is given. */
interface Parts {
  readonly config: Config;
  readonly services: Services;
  readonly vault: Vault;
  readonly log: Log;
  readonly models: ModelRegistry;
  readonly clock: Clock;
  readonly ids: Ids;
  readonly report: Report;
  /** Run in reverse at the stop. */
  readonly ends: (() => Promise<void> | void)[];
}

/** Starts the roles on services that are there. What it began is stopped when it throws. */
export async function startSystem(
  config: Config,
  services: Services,
  wanted: ReadonlySet<Role>,
  report: Report,
): Promise<System> {
  const { streams, database, secret, partitions, replicas, folder, embedded } = services;
  const clock = systemClock;
  const ends: Parts["ends"] = [];
  let stopped = false;
  const stop = async (): Promise<void> => {
    stopped = true;
    for (const end of ends.splice(0).reverse()) await end();
  };
  try {
    if (wanted.has("actors") || embedded.nats) {
      await provision(streams, { partitions, replicas });
      await ensureConsumers(streams, partitions);
    } else {
      await provisioned(streams, partitions);
    }
    const vault = await openVault(streams, services.masterKey);
    const log = openLog(streams, vault);
    if (folder !== null && embedded.nats) {
      await checkHead(folder.path, log);
      ends.push(keepHead(folder.path, log, clock, services.lookAtLog));
    }
    const remembered = [
      // Only workers may read snapshots, and nobody waits for a database that is away.
      ...(wanted.has("actors") ? await snapshotWitnesses(streams, snapshots_looked_at) : []),
      ...(await checkpointWitnesses(database).catch(() => [])),
    ];
    const home = embedded.nats ? (folder?.path ?? null) : null;
    await checkWitnesses(log, remembered, home);
    const erasing = { streams, vault, log, secret };
    const erasures = home === null ? null : await openErasures(home, erasing, report);
    if (erasures !== null) ends.push(rememberOthers(erasing, erasures, report));
    const models = createModels({ openai: openAiOf(config), clock });
    ends.push(() => models.close());
    const listed = models.listed();

    const parts: Parts = {
      ...{ config, services, vault, log, models, clock, ids: systemIds, report, ends },
    };
    const runner = wanted.has("projections") ? await startProjections(parts) : null;
    if (wanted.has("feed")) await startFeed(parts);
    let drain = (): Promise<void> => Promise.resolve();
    if (wanted.has("actors")) {
      // A turn begins with the model that was wished for, so the list of models comes first.
      await listed;
      drain = await startWorker(parts, (ref) => eraseListed(erasing, erasures, ref));
    }
    const follow: FollowPositions = (call) => followPositions(streams, call);
    const queries = openQueries(database, follow, (sequence) => runner?.want(sequence));
    ends.push(() => queries.stop());
    const commanding = wanted.has("gateway") || wanted.has("actors");
    const ownership = commanding ? keptLook(() => readOwnership(streams), clock) : null;
    const checks = (): Promise<Readiness> => readiness({ ownership, runner, queries, log });
    const door = wanted.has("gateway") ? await openDoor(parts, queries, checks, drain) : null;
    return {
      url: door?.url ?? null,
      reload: door?.reload ?? null,
      models,
      async ready(ms) {
        const until_ms = clock.now() + ms;
        for (;;) {
          const missing = missingOf(await checks());
          // Whoever is told to end while it waits must not be kept alive by the waiting.
          if (missing === null || stopped || clock.now() > until_ms) return missing;
          await new Promise<void>((resolve) => void clock.after(look_ms, resolve));
        }
      },
      stop,
    };
  } catch (error) {
    await stop();
    throw error;
  }
}

/** The newest of the snapshots: what they have not seen, the others have not either, as a rule. */
const snapshots_looked_at = 64;
/** What is kept of `limits.drain_ms` for the sockets' farewell. */
const gateway_ms = 1_000;
const look_ms = 25;

async function startProjections(parts: Parts): Promise<Runner> {
  const { services, vault, log, clock, ids, report, ends } = parts;
  const { streams, database } = services;
  const leases = await holdLeases(streams, projectors.map(leaseOf), { holder: ids(), clock });
  ends.push(() => leases.release());
  const runner = startRunner({
    source: logSource(log, (reading) => readBatches(streams, vault, reading)),
    announce: (projector, sequence) => announcePosition(streams, projector, sequence),
    ...{ leases, database, projectors, clock, report },
  });
  ends.push(() => runner.stop());
  return runner;
}

async function startFeed(parts: Parts): Promise<void> {
  const { config, services, vault, log, clock, ids, report, ends } = parts;
  const { streams, secret } = services;
  const publisher = await startPublisher({
    ...{ streams, vault, log, clock, report, holder: ids() },
    readers: config.get("COLLOQUY_FEED_READERS") ?? [],
  });
  ends.push(() => publisher.stop());
  const webhooks = await startWebhooks({
    ...{ streams, vault, clock, ids, report, holder: ids() },
    publish: commandPublisher(streams, secret),
    anywhere: config.get("COLLOQUY_WEBHOOKS_PRIVATE") === "1",
  });
  ends.push(() => webhooks.stop());
}

/** Resolves with what ends its turns, in what time there is, before it stops. */
async function startWorker(
  parts: Parts,
  erase: (ref: ActorRef) => Promise<void>,
): Promise<() => Promise<void>> {
  const { config, services, vault, log, models, clock, ids, report, ends } = parts;
  const { streams, secret, partitions } = services;
  const workers = await joinWorkers(streams, {
    ...{ id: ids(), clock },
    where: `${hostname()} ${process.pid}`,
  });
  ends.push(() => workers.leave());
  const asking = openAsking(streams, { id: workers.id, clock });
  ends.push(() => asking.stop());
  const timers = openTimers(streams, { worker: workers.id, secret, clock, ids, report });
  ends.push(() => timers.stop());
  const texts = textPort(log);
  ends.push(vault.onErased((actor) => texts.forget(actor)));
  const host = createHost({
    ...{ log, models, clock, ids, report, timers },
    workers: { ...workers, ...asking },
    snapshots: await openSnapshots(streams, { code: codeVersion(), report }),
    texts,
    tokens: tokenPort(streams, log),
    content: { erase },
    replies: replyPort(streams),
    title: extractTitle,
    ...(config.get("COLLOQUY_REFUSE_INJECTION") === "1" ? { disallows: triesInjection } : {}),
  });
  const pulling = consumeCommands({
    ...{ streams, secret, partitions, report },
    previousSecrets: config.get("COLLOQUY_SECRET_PREVIOUS") ?? [],
    worker: workers,
    inbox: host,
  });
  let drained: Promise<void> | null = null;
  const drain = (): Promise<void> => (drained ??= host.drain(limits.drain_ms - gateway_ms));
  ends.push(() => pulling.stop());
  ends.push(() => drain());
  const period_ms = (config.get("COLLOQUY_ANCHOR_MINUTES") ?? 0) * 60_000;
  if (period_ms > 0) {
    const by = { type: "system" as const, id: workers.id };
    const anchoring = await startAnchoring({
      ...{ streams, clock, ids, report, by, period_ms, holder: workers.id },
      publish: commandPublisher(streams, secret),
    });
    ends.push(() => anchoring.stop());
  }
  return drain;
}

/** Loaded only where there is a Redis: its client is a good part of what a process loads. */
async function sharedLimiter(url: string, clock: Clock, report: Report): Promise<SharedLimiter> {
  const { openSharedLimiter } = await import("../cache/shared-limiter.ts");
  return openSharedLimiter(url, { clock, report });
}

/** Serves HTTP and WebSocket. */
async function openDoor(
  parts: Parts,
  queries: Queries,
  ready: () => Promise<Readiness>,
  drain: () => Promise<void>,
): Promise<Pick<System, "url" | "reload">> {
  const { config, services, vault, log, models, clock, ids, report, ends } = parts;
  const { streams, secret, ring, folder, embedded } = services;
  const feed = followFeed(streams, clock);
  ends.push(() => feed.stop());
  const redisUrl = config.get("REDIS_URL");
  const shared = redisUrl === null ? null : await sharedLimiter(redisUrl, clock, report);
  ends.push(() => shared?.close());
  const tenant = config.get("COLLOQUY_TENANT") ?? "main";
  const access = logsAccess(config) ? openAccessLog(standardOutput(), clock) : null;
  ends.push(() => access?.stop());
  const gateway = await startGateway(
    {
      ...{ streams, vault, log, queries, ring, clock, ids, report },
      limiter: shared ?? new MemoryLimiter(() => clock.now()),
      rates: ratesOf(config),
      metricsToken: config.get("COLLOQUY_METRICS_TOKEN"),
      trustedProxies: config.get("COLLOQUY_TRUSTED_PROXIES") ?? [],
      issuers: config.get("COLLOQUY_ISSUERS") ?? [],
      accountsKey: accountsKeyOf(services.masterKey),
      registration: config.get("COLLOQUY_REGISTRATION") ?? "open",
      firstTenant: tenant,
      publish: commandPublisher(streams, secret),
      ready,
      feed: feed.reached,
      models: () => models.list(),
      knowsModel: (name) => models.route(name) !== null,
      embed: models.embed,
      page: webAssets(),
      accessLog: access,
      local: embedded.nats ? { tenant, user: "you" } : null,
    },
    {
      host: config.get("COLLOQUY_HOST") ?? "127.0.0.1",
      port: config.get("COLLOQUY_PORT") ?? 0,
      corsOrigins: config.get("COLLOQUY_CORS_ORIGINS") ?? [],
      ...tlsOf(config),
    },
  );
  folder?.announce(gateway.url);
  ends.push(async () => {
    gateway.retire();
    // Turns that run are served to their end while the sockets are still open.
    await drain();
    await gateway.stop(gateway_ms);
  });
  const renewable = config.get("COLLOQUY_TLS_CERT") !== null;
  return { url: gateway.url, reload: renewable ? () => gateway.reload() : null };
}
