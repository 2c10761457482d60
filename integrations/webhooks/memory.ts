/**
 * What is remembered of one webhook's deliveries: the newest, and since when it fails. Written at most
 * once a second; what a crash takes with it is a second of that list, never an event.
 */
import type { Clock } from "../../schemas/ids.ts";
import { limits } from "../../schemas/limits.ts";
import type { WebhookDelivery, WebhookRecord } from "../../schemas/webhooks.ts";
import type { Records } from "../../streams/feed/records.ts";

export interface Memory {
  note(delivery: WebhookDelivery): void;
  /** Since when no event was taken (ms since 1970); null while they are. */
  failingSince(): number | null;
  /** Writes what is not written yet. */
  close(): Promise<void>;
}

const write_ms = 1_000;

/** Throws `AppError("unavailable")`. */
export async function openMemory(
  records: Records,
  tenant: string,
  webhook: string,
  clock: Clock,
): Promise<Memory> {
  let record: WebhookRecord = await records.read(tenant, webhook);
  let cancel: (() => void) | null = null;
  const write = async (): Promise<void> => {
    cancel?.();
    cancel = null;
    // It is for people to look at; the next one brings it.
    await records.write(tenant, webhook, record).catch(() => undefined);
  };
  return {
    note(delivery) {
      const deliveries = [delivery, ...record.deliveries].slice(0, limits.webhook_deliveries_kept);
      const taken = delivery.outcome === "delivered";
      const failingSince = taken ? null : (record.failingSince ?? delivery.at);
      record = { failingSince, deliveries };
      cancel ??= clock.after(write_ms, () => void write());
    },
    failingSince: () => (record.failingSince === null ? null : Date.parse(record.failingSince)),
    close: () => (cancel === null ? Promise.resolve() : write()),
  };
}
