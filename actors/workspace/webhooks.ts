/** The webhooks of a workspace: which there are, and whether they are enabled. */
import type { CommandData, NamedCommand } from "../../schemas/commands.ts";
import { event } from "../../schemas/events.ts";
import { limits } from "../../schemas/limits.ts";
import { allows } from "../../schemas/permissions.ts";
import type { Answer } from "../kind.ts";
import { get } from "../table.ts";
import { already_so, type Caller, decided, refused } from "./decision.ts";
import type { WorkspaceState } from "./state.ts";

export function createWebhook(
  { webhooks }: WorkspaceState,
  { role }: Caller,
  data: CommandData<"create-webhook">,
): Answer {
  if (!allows(role, null, "webhooks.write")) return refused("forbidden");
  if (get(webhooks, data.webhook) !== undefined) return refused("id_taken");
  if (webhooks.size >= limits.webhooks_per_workspace_max) return refused("too_many_webhooks");
  return decided(event("webhook.created", data));
}

type OfWebhook = Extract<
  NamedCommand,
  { readonly name: "change-webhook" | "remove-webhook" | "test-webhook" | "replay-webhook" }
>;

export function ofWebhook(
  { webhooks }: WorkspaceState,
  { role }: Caller,
  command: OfWebhook,
): Answer {
  if (!allows(role, null, "webhooks.write")) return refused("forbidden");
  const found = get(webhooks, command.data.webhook);
  if (found === undefined) {
    return command.name === "remove-webhook" ? already_so : refused("not_found");
  }
  switch (command.name) {
    case "change-webhook": {
      const { ifRevision: _, ...change } = command.data;
      const { url, types, secret, enabled } = change;
      const same = url === null && types === null && secret === null;
      if (same && (enabled === null || enabled === found.enabled)) return already_so;
      return decided(event("webhook.changed", change));
    }
    case "remove-webhook":
      return decided(event("webhook.removed", { webhook: command.data.webhook }));
    case "test-webhook":
      return decided(event("webhook.tested", command.data));
    case "replay-webhook":
      return decided(event("webhook.replayed", command.data));
  }
}

export function disableWebhook(
  { webhooks }: WorkspaceState,
  { webhook }: CommandData<"disable-webhook">,
): Answer {
  const disabled = get(webhooks, webhook)?.enabled !== true;
  return disabled ? already_so : decided(event("webhook.disabled", { webhook }));
}
