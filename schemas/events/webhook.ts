/**
 * The events of a workspace about its webhooks. Where they go and the secret that we sign with are
 * content: the secret is needed whole, so it is sealed, not hashed.
 */
import Type, { type TObject } from "typebox";
import { IsoTime, Uuid } from "../ids.ts";
import { closed, Text } from "./fields.ts";

const webhook = { webhook: Uuid };
const nullable = <S extends Type.TSchema>(schema: S) => Type.Union([schema, Type.Null()]);

/** Public types: `turn.completed`, all of a noun (`turn.*`), or all (`*`). */
export const WebhookTypes = Type.Array(
  Type.String({ pattern: "^(\\*|[a-z]+\\.(\\*|[a-z]+))$", maxLength: 64 }),
  { minItems: 1, maxItems: 32, description: "Of docs/FEED.md: `turn.completed`, `turn.*`, `*`." },
);

export const webhookEvents = {
  "webhook.created": Type.Object(
    { ...webhook, url: Text, types: WebhookTypes, secret: Text },
    closed,
  ),
  /** Null: as it was. */
  "webhook.changed": Type.Object(
    {
      ...webhook,
      url: nullable(Text),
      types: nullable(WebhookTypes),
      secret: nullable(Text),
      enabled: nullable(Type.Boolean()),
    },
    closed,
  ),
  "webhook.disabled": Type.Object(webhook, closed),
  "webhook.removed": Type.Object(webhook, closed),
  "webhook.tested": Type.Object(webhook, closed),
  "webhook.replayed": Type.Object({ ...webhook, from: IsoTime }, closed),
} as const satisfies Record<string, TObject>;

type WebhookEventType = keyof typeof webhookEvents;

export const webhookVersions = {
  "webhook.created": 1,
  "webhook.changed": 1,
  "webhook.disabled": 1,
  "webhook.removed": 1,
  "webhook.tested": 1,
  "webhook.replayed": 1,
} as const satisfies Record<WebhookEventType, number>;

export const webhookContent = {
  "webhook.created": { url: "", secret: "" },
  "webhook.changed": { url: null, secret: null },
} as const satisfies Partial<Record<WebhookEventType, object>>;
