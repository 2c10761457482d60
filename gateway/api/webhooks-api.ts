/**
 * Webhooks: `/api/v1/webhooks`. A secret is made here and shown where it is made, once; what is posted
 * where is the business of `integrations/`, which follows the workspace as this does.
 */
import { AppError } from "../../schemas/errors.ts";
import { workspaceRef } from "../../schemas/ids.ts";
import {
  ChangeWebhook,
  CreateWebhook,
  ReplayWebhook,
  Webhook,
  WebhookDeliveries,
  WebhookList,
  WebhookMaybeSecret,
  WebhookWithSecret,
} from "../../schemas/webhooks.ts";
import { openRecords } from "../../streams/feed/records.ts";
import { ask, userBy } from "../auth/ask.ts";
import { type Minted, mint } from "../auth/once.ts";
import { commandIdAt } from "../http/asking.ts";
import type { Call } from "../http/call.ts";
import { onlyAt, revisionTag } from "../http/conditions.ts";
import { type Operation, operation } from "../http/operation.ts";

const base = "/api/v1/webhooks";
const common = { tag: "webhooks", access: "webhooks.write" } as const;

const secretOf = ({ secret }: Minted): string => `whsec_${secret.toString("base64")}`;

interface Found {
  readonly webhook: Webhook;
  readonly headers: { readonly ETag: string };
}

/** The webhook of this id in the caller's own tenant. Throws `not_found`. */
async function found({ service, who }: Call, id: string): Promise<Found> {
  const { webhooks, webhookRevisions } = await service.people.workspace(who.tenant);
  const webhook = webhooks.get(id);
  if (webhook === undefined) throw new AppError("not_found");
  return { webhook, headers: { ETag: revisionTag(webhookRevisions.get(id) ?? 0) } };
}

export const operations: readonly Operation[] = [
  operation({
    ...common,
    id: "createWebhook",
    method: "POST",
    path: base,
    limit: "command",
    summary: "Has the tenant's events posted somewhere; the secret is shown this once.",
    body: CreateWebhook,
    answers: { 201: WebhookWithSecret },
    refuses: ["too_many_webhooks", "id_taken"],
    async run(call) {
      const { service, who, body } = call;
      const minted = await mint(call, `webhook ${body.id ?? ""}`);
      const { id = minted.id, url, types = ["*"] } = body;
      const secret = secretOf(minted);
      const data = { webhook: id, url, types, secret };
      const ref = workspaceRef(who.tenant);
      await ask(service, userBy(who.user), ref, "create-webhook", data, minted.command);
      const { webhook, headers } = await found(call, id);
      return { value: { ...webhook, secret }, sequence: 0, headers };
    },
  }),
  operation({
    ...common,
    id: "listWebhooks",
    method: "GET",
    path: base,
    limit: "read",
    summary: "The tenant's webhooks, without their secrets.",
    answers: { 200: WebhookList },
    async run({ service, who }) {
      const { webhooks } = await service.people.workspace(who.tenant);
      return { value: { items: [...webhooks.values()], next: null }, sequence: 0 };
    },
  }),
  operation({
    ...common,
    id: "readWebhook",
    method: "GET",
    path: `${base}/{id}`,
    limit: "read",
    summary: "One webhook, without its secret.",
    answers: { 200: Webhook },
    async run(call) {
      const { webhook, headers } = await found(call, call.param("id"));
      return { value: webhook, sequence: 0, headers };
    },
  }),
  operation({
    ...common,
    id: "changeWebhook",
    method: "PATCH",
    path: `${base}/{id}`,
    limit: "command",
    summary: "Changes it, switches it on or off, or gives it another secret, shown this once.",
    body: ChangeWebhook,
    answers: { 200: WebhookMaybeSecret },
    refuses: ["precondition_failed"],
    async run(call, exchange) {
      const { service, who, body } = call;
      const id = call.param("id");
      await found(call, id);
      const minted = await mint(call, `change webhook ${id}`);
      const secret = body.rotateSecret === true ? secretOf(minted) : null;
      const { url = null, types = null, enabled = null } = body;
      const data = { webhook: id, url, types, secret, enabled, ...onlyAt(exchange) };
      const ref = workspaceRef(who.tenant);
      await ask(service, userBy(who.user), ref, "change-webhook", data, minted.command);
      const { webhook, headers } = await found(call, id);
      return { value: secret === null ? webhook : { ...webhook, secret }, sequence: 0, headers };
    },
  }),
  operation({
    ...common,
    id: "removeWebhook",
    method: "DELETE",
    path: `${base}/{id}`,
    limit: "command",
    summary: "Ends it; what it was not told yet it is not told.",
    answers: { 204: null },
    refuses: ["precondition_failed"],
    async run(call, exchange) {
      const { service, who } = call;
      const webhook = call.param("id");
      await found(call, webhook);
      const ref = workspaceRef(who.tenant);
      const data = { webhook, ...onlyAt(exchange) };
      await ask(service, userBy(who.user), ref, "remove-webhook", data);
      return { value: null, sequence: 0 };
    },
  }),
  operation({
    ...common,
    id: "testWebhook",
    method: "POST",
    path: `${base}/{id}/test`,
    limit: "command",
    summary: "Sends it an event of type `colloquy.webhook.tested.v1`, through all that others go.",
    answers: { 202: null },
    async run(call) {
      const { service, who } = call;
      const webhook = call.param("id");
      await found(call, webhook);
      const ref = workspaceRef(who.tenant);
      const command = commandIdAt(call, `test ${webhook}`);
      await ask(service, userBy(who.user), ref, "test-webhook", { webhook }, command);
      return { value: null, sequence: 0 };
    },
  }),
  operation({
    ...common,
    id: "replayWebhook",
    method: "POST",
    path: `${base}/{id}/replay`,
    limit: "command",
    summary: "Tells it again what the feed told since a time and still keeps.",
    body: ReplayWebhook,
    answers: { 202: null },
    async run(call) {
      const { service, who, body } = call;
      const webhook = call.param("id");
      await found(call, webhook);
      const { from } = body;
      if (Date.parse(from) > service.ports.clock.now()) {
        throw new AppError("bad_request", "from lies in the future");
      }
      const ref = workspaceRef(who.tenant);
      const command = commandIdAt(call, `replay ${webhook}`);
      await ask(service, userBy(who.user), ref, "replay-webhook", { webhook, from }, command);
      return { value: null, sequence: 0 };
    },
  }),
  operation({
    ...common,
    id: "listWebhookDeliveries",
    method: "GET",
    path: `${base}/{id}/deliveries`,
    limit: "read",
    summary: "Its newest deliveries, newest first, a second late at most.",
    answers: { 200: WebhookDeliveries },
    async run(call) {
      const id = call.param("id");
      await found(call, id);
      const records = await openRecords(call.service.ports.streams);
      const { failingSince, deliveries } = await records.read(call.who.tenant, id);
      return { value: { failingSince, items: deliveries, next: null }, sequence: 0 };
    },
  }),
];
