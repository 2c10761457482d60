/** What is remembered of each webhook's deliveries: one entry of KV `WEBHOOKS`, without any content. */
import { Kvm } from "@nats-io/kv";
import { deadline } from "@nats-io/transport-node";
import { limits } from "../../schemas/limits.ts";
import { parseJson } from "../../schemas/validate.ts";
import { emptyRecord, type WebhookRecord, webhookRecord } from "../../schemas/webhooks.ts";
import type { Streams } from "../connection.ts";
import { unavailable } from "../faults.ts";
import { webhooks_bucket } from "../topology.ts";

export interface Records {
  /** An empty one when nothing is remembered. Throws `AppError("unavailable")`. */
  read(tenant: string, webhook: string): Promise<WebhookRecord>;
  /** Throws `AppError("unavailable")`. */
  write(tenant: string, webhook: string, record: WebhookRecord): Promise<void>;
}

/** Throws `AppError("unavailable")`. */
export async function openRecords(streams: Streams): Promise<Records> {
  const asked = async <T>(request: () => Promise<T>): Promise<T> => {
    try {
      return await deadline(request(), limits.append_timeout_ms);
    } catch (cause) {
      throw unavailable("What is remembered of webhooks cannot be reached", cause);
    }
  };
  const kv = await asked(() => new Kvm(streams.js).open(webhooks_bucket, { allow_direct: false }));
  return {
    async read(tenant, webhook) {
      const entry = await asked(() => kv.get(`${tenant}.${webhook}`));
      const parsed = webhookRecord.parse(entry === null ? null : parseJson(entry.string()));
      return parsed.ok ? parsed.value : emptyRecord;
    },
    async write(tenant, webhook, record) {
      await asked(() => kv.put(`${tenant}.${webhook}`, JSON.stringify(record)));
    },
  };
}
