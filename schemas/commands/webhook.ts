/** What may be asked of a tenant's workspace about its webhooks (`schemas/events/webhook.ts`). */
import Type, { type TObject } from "typebox";
import { closed, expecting } from "../events/fields.ts";
import { WebhookTypes } from "../events/webhook.ts";
import { IsoTime, Uuid } from "../ids.ts";
import { limits } from "../limits.ts";

const nullable = <S extends Type.TSchema>(schema: S) => Type.Union([schema, Type.Null()]);

export const WebhookUrl = Type.String({
  pattern: "^https?://[^\\s@]+$",
  maxLength: limits.webhook_url_chars_max,
  description: "http or https, without user and password.",
});
/** As Standard Webhooks writes it: `whsec_` and 24 to 64 bytes in base64. */
export const WebhookSecret = Type.String({ pattern: "^whsec_[A-Za-z0-9+/]{32,86}={0,2}$" });

export const webhookCommands = {
  "create-webhook": Type.Object(
    { webhook: Uuid, url: WebhookUrl, types: WebhookTypes, secret: WebhookSecret },
    closed,
  ),
  "change-webhook": Type.Object(
    {
      webhook: Uuid,
      url: nullable(WebhookUrl),
      types: nullable(WebhookTypes),
      secret: nullable(WebhookSecret),
      enabled: nullable(Type.Boolean()),
      ...expecting,
    },
    closed,
  ),
  "remove-webhook": Type.Object({ webhook: Uuid, ...expecting }, closed),
  /** It alone is told `webhook.tested`. */
  "test-webhook": Type.Object({ webhook: Uuid }, closed),
  /** It is told again what the feed keeps since then. */
  "replay-webhook": Type.Object({ webhook: Uuid, from: IsoTime }, closed),
} as const satisfies Record<string, TObject>;

export const webhookDuties = {
  /** It has failed for days. */
  "disable-webhook": Type.Object({ webhook: Uuid }, closed),
} as const satisfies Record<string, TObject>;
