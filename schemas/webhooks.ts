/** Webhooks as the HTTP API shows them, and what is remembered of their deliveries. */
import Type, { type Static } from "typebox";
import { WebhookSecret, WebhookUrl } from "./commands/webhook.ts";
import { closed } from "./events/fields.ts";
import { WebhookTypes } from "./events/webhook.ts";
import { IsoTime, Uuid } from "./ids.ts";
import { limits } from "./limits.ts";
import { check } from "./validate.ts";

const nullable = <S extends Type.TSchema>(schema: S) => Type.Union([schema, Type.Null()]);

/** One try to deliver one event. */
export const WebhookDelivery = Type.Object({
  event: Type.String({ description: "The id of the CloudEvent, and of `webhook-id`." }),
  type: Type.String(),
  at: IsoTime,
  try: Type.Integer({ minimum: 1 }),
  outcome: Type.Union([Type.Literal("delivered"), Type.Literal("failed"), Type.Literal("dead")], {
    description: "`failed`: it is tried again; `dead`: no more, and it is a dead letter.",
  }),
  status: nullable(Type.Integer({ description: "The HTTP status; null: no answer." })),
  reason: Type.String(),
});
export type WebhookDelivery = Static<typeof WebhookDelivery>;

export const WebhookRecord = Type.Object({
  failingSince: nullable(IsoTime),
  deliveries: Type.Array(WebhookDelivery, { maxItems: limits.webhook_deliveries_kept }),
});
export type WebhookRecord = Static<typeof WebhookRecord>;
export const webhookRecord = check(WebhookRecord);
export const emptyRecord: WebhookRecord = { failingSince: null, deliveries: [] };

/** `GET /api/v1/webhooks`; the secret is shown only where it is made. */
export const Webhook = Type.Object({
  id: Uuid,
  url: Type.String(),
  types: WebhookTypes,
  enabled: Type.Boolean(),
  createdAt: IsoTime,
});
export type Webhook = Static<typeof Webhook>;
export const WebhookWithSecret = Type.Object({ ...Webhook.properties, secret: WebhookSecret });
/** With the secret when the request made another. */
export const WebhookMaybeSecret = Type.Object({
  ...Webhook.properties,
  secret: Type.Optional(WebhookSecret),
});
export const WebhookList = Type.Object({ items: Type.Array(Webhook), next: Type.Null() });
export const WebhookDeliveries = Type.Object({
  failingSince: WebhookRecord.properties.failingSince,
  items: WebhookRecord.properties.deliveries,
  next: Type.Null(),
});

/** `POST /api/v1/webhooks`. */
export const CreateWebhook = Type.Object(
  { id: Type.Optional(Uuid), url: WebhookUrl, types: Type.Optional(WebhookTypes) },
  closed,
);
/** `PATCH /api/v1/webhooks/{id}`; `rotateSecret` makes another secret and shows it. */
export const ChangeWebhook = Type.Object(
  {
    url: Type.Optional(WebhookUrl),
    types: Type.Optional(WebhookTypes),
    enabled: Type.Optional(Type.Boolean()),
    rotateSecret: Type.Optional(Type.Literal(true)),
  },
  { ...closed, minProperties: 1 },
);
/** `POST /api/v1/webhooks/{id}/replay`. */
export const ReplayWebhook = Type.Object({ from: IsoTime }, closed);
