/** The webhooks of all tenants, folded from the events of their workspaces. */
import type { Commit } from "../../schemas/commit.ts";

export interface Webhook {
  readonly tenant: string;
  readonly id: string;
  readonly url: string;
  readonly types: readonly string[];
  readonly secret: string;
  readonly enabled: boolean;
  /** The EVENTS sequence of what said from when on it is told: its creation, or the last replay. */
  readonly generation: number;
  /** From where in the feed it is told, by the time (ISO) at which the feed told it. */
  readonly from: string;
  /** The EVENTS sequence behind which it is told; 0 after a replay, which goes by time. */
  readonly after: number;
}

/** By `webhookKey`: ids are the tenants' own. */
export type Webhooks = Map<string, Webhook>;
export const webhookKey = (tenant: string, id: string): string => `${tenant}.${id}`;

const margin_ms = 60_000;

/** Folds a commit of a workspace; the keys of the webhooks that are others now. */
export function foldWebhooks(webhooks: Webhooks, commit: Commit): string[] {
  const changed: string[] = [];
  const { ref, at, sequence } = commit;
  for (const { type, data } of commit.events) {
    if (!("webhook" in data)) continue;
    const { webhook: id } = data;
    const key = webhookKey(ref.tenant, id);
    const had = webhooks.get(key);
    // It asks for a post and changes nothing: a delivery that was begun anew for it would post it twice.
    if (type === "webhook.tested") continue;
    changed.push(key);
    if (type === "webhook.created") {
      const { url, types, secret } = data;
      const made = { tenant: ref.tenant, id, url, types, secret, enabled: true };
      // The feed is behind the log by a little, and clocks differ: the sequence is what counts.
      const from = new Date(Date.parse(at) - margin_ms).toISOString();
      webhooks.set(key, { ...made, generation: sequence, from, after: sequence });
    } else if (had === undefined) continue;
    else if (type === "webhook.changed") {
      const { url, types, secret, enabled } = data;
      webhooks.set(key, {
        ...had,
        url: url ?? had.url,
        types: types ?? had.types,
        secret: secret ?? had.secret,
        enabled: enabled ?? had.enabled,
      });
    } else if (type === "webhook.disabled") webhooks.set(key, { ...had, enabled: false });
    else if (type === "webhook.removed") webhooks.delete(key);
    else if (type === "webhook.replayed") {
      webhooks.set(key, { ...had, generation: sequence, from: data.from, after: 0 });
    }
  }
  return changed;
}
