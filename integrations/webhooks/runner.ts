/**
 * Runs the webhooks of all tenants, in one process at a time by a lease; two at once would post an
 * event twice at worst. It follows the workspaces' events and keeps a delivery for each webhook that
 * is enabled; a change of a webhook ends its delivery and begins it anew.
 */
import { type Ids, workspaceRef } from "../../schemas/ids.ts";
import { limits } from "../../schemas/limits.ts";
import { feedFilters, workspaceFilter } from "../../schemas/subjects.ts";
import type { Streams } from "../../streams/connection.ts";
import type { Vault } from "../../streams/content/vault.ts";
import { dropFeedReader, feedReaders, openFeedReader } from "../../streams/feed/readers.ts";
import { openRecords, type Records } from "../../streams/feed/records.ts";
import { readCommits } from "../../streams/log/reader.ts";
import type { CommandPublisher } from "../../streams/queue/commands.ts";
import { type DutyParts, holdDuty } from "../duty.ts";
import { deliver, type DeliveryParts } from "./delivery.ts";
import { openMemory } from "./memory.ts";
import { foldWebhooks, type Webhook, type Webhooks } from "./registry.ts";
import { openSlots } from "./slots.ts";

const lease = "webhooks";

export interface WebhookOptions extends DutyParts {
  readonly vault: Vault;
  readonly ids: Ids;
  readonly publish: CommandPublisher;
  /** Whether private and loopback addresses may be posted to. */
  readonly anywhere: boolean;
  /** Other times than those of `limits`, for tests. */
  readonly times?: Partial<
    Pick<DeliveryParts, "timeout_ms" | "retry_ms" | "failing_ms" | "ack_ms">
  >;
}

/** Throws `AppError("unavailable")` when the leases cannot be reached. */
export const startWebhooks = (options: WebhookOptions): Promise<{ stop(): Promise<void> }> =>
  holdDuty(options, {
    lease,
    trouble: "webhooks cannot be served; it is tried again",
    run: (signal, well) => follow(options, signal, well),
  });

/** Follows the workspaces until the signal, with a delivery for each webhook. */
async function follow(
  options: WebhookOptions,
  signal: AbortSignal,
  well: () => void,
): Promise<void> {
  const { streams, vault, clock } = options;
  const webhooks: Webhooks = new Map();
  const running = new Map<string, Running>();
  const changed = new Set<string>();
  const parts = partsOf(options);
  const records = await openRecords(streams);
  let cancel = (): void => undefined;
  let swept = false;
  const settle = (): void => {
    well();
    if (!swept) void sweep(streams, webhooks);
    swept = true;
    for (const key of changed) {
      const webhook = webhooks.get(key);
      const was = running.get(key);
      was?.stop(webhook);
      running.delete(key);
      if (webhook?.enabled === true) {
        running.set(key, keep(options, parts, records, webhook, was?.ended ?? Promise.resolve()));
      }
    }
    changed.clear();
  };
  try {
    const reading = { after: 0, signal, filter: workspaceFilter, hashes: "last" } as const;
    for await (const logged of readCommits(streams, vault, reading)) {
      if ("undecodable" in logged) continue;
      for (const key of foldWebhooks(webhooks, logged)) changed.add(key);
      // What comes in one go, the whole past at the beginning, is looked at once.
      cancel();
      cancel = clock.after(settle_ms, settle);
    }
  } finally {
    cancel();
    for (const [key, one] of running) one.stop(webhooks.get(key));
    await Promise.all([...running.values()].map((one) => one.ended));
  }
}
const settle_ms = 20;

function partsOf(options: WebhookOptions): DeliveryParts {
  const { streams, clock, ids, anywhere, publish } = options;
  return {
    ...{ streams, clock, anywhere },
    slots: openSlots(limits.webhook_posts_max, limits.webhook_posts_per_tenant_max),
    timeout_ms: limits.webhook_timeout_ms,
    retry_ms: limits.webhook_retry_ms,
    failing_ms: limits.webhook_failing_ms,
    ack_ms: limits.webhook_ack_ms,
    ...options.times,
    disable: ({ tenant, id }) =>
      publish.publish({
        ...{ ref: workspaceRef(tenant), name: "disable-webhook", id: ids(), reply: null },
        ...{ data: { webhook: id }, by: { type: "system", id: lease }, traceparent: null },
      }),
  };
}

interface Running {
  /** `next` is what the webhook is now: its reader is kept when it goes on from there. */
  stop(next: Webhook | undefined): void;
  readonly ended: Promise<void>;
}

const prefix = "webhook-";
const readerOf = ({ tenant, id, generation }: Webhook): string =>
  `${prefix}${tenant}-${id}-${generation}`;

/** Keeps one webhook told; what breaks is reported and begun anew. */
function keep(
  { streams, clock, report }: WebhookOptions,
  parts: DeliveryParts,
  records: Records,
  webhook: Webhook,
  before: Promise<void>,
): Running {
  const ending = new AbortController();
  const { tenant, id, from, types } = webhook;
  const name = readerOf(webhook);
  let drop = false;
  const run = async (): Promise<void> => {
    await before;
    for (let failures = 0; !ending.signal.aborted; failures++) {
      try {
        const filters = feedFilters(tenant, [...types, "webhook.tested"]);
        const reader = await openFeedReader(streams, { name, filters, from, ack_ms: parts.ack_ms });
        const memory = await openMemory(records, tenant, id, clock);
        failures = 0;
        try {
          await deliver(parts, webhook, reader, memory, ending.signal);
        } finally {
          await memory.close();
        }
      } catch (error) {
        if (ending.signal.aborted) break;
        const ref = workspaceRef(tenant);
        if (failures === 0) report({ what: `webhook ${id} cannot be served now`, ref, error });
        const ms = Math.min(limits.runner_backoff_ms * 2 ** failures, limits.runner_backoff_ms_max);
        await new Promise<void>((resolve) => void clock.after(ms, resolve));
      }
    }
    if (drop) await dropFeedReader(streams, name);
  };
  return {
    stop(next) {
      drop = next === undefined || readerOf(next) !== name;
      ending.abort();
    },
    ended: run(),
  };
}

/** Removes the readers of webhooks that are gone. */
async function sweep(streams: Streams, webhooks: Webhooks): Promise<void> {
  const names = await feedReaders(streams, prefix).catch(() => []);
  // Behind the question: what was made in the meantime is not among the names.
  const wanted = new Set([...webhooks.values()].map(readerOf));
  for (const name of names) if (!wanted.has(name)) await dropFeedReader(streams, name);
}
