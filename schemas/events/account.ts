/**
 * The events of an account: who somebody is, where they belong, and the sessions in which they are
 * signed in. What names a person is content; the password is a PHC string of argon2id and leaves an
 * account's events only to be compared; of a refresh token there is the hash alone.
 */
import Type, { type Static, type TObject } from "typebox";
import { HomeTenant, IsoTime, Uuid } from "../ids.ts";
import { closed, Sha256, Text } from "./fields.ts";

const Settings = Type.Record(Type.String(), Type.Unknown(), {
  description: "A JSON object of the user's own.",
});

/**
 * Why a session ended: its user said so, an old refresh token of it was shown, it was too old, the
 * password was changed, a newer one took its place, or its user left the tenant or is gone.
 */
const Reason = Type.Union([
  Type.Literal("logout"),
  Type.Literal("reused"),
  Type.Literal("expired"),
  Type.Literal("password"),
  Type.Literal("replaced"),
  Type.Literal("removed"),
]);
export type SessionReason = Static<typeof Reason>;

export const accountEvents = {
  "account.registered": Type.Object(
    {
      home: HomeTenant,
      email: Text,
      name: Text,
      password: Text,
    },
    closed,
  ),
  "account.joined": Type.Object({ tenant: HomeTenant }, closed),
  "account.left": Type.Object({ tenant: HomeTenant }, closed),
  "account.deleted": Type.Object({}, closed),
  "profile.updated": Type.Object({ name: Text }, closed),
  "settings.updated": Type.Object({ settings: Settings }, closed),
  "password.changed": Type.Object({ password: Text }, closed),
  "session.opened": Type.Object(
    { session: Uuid, tenant: HomeTenant, token: Sha256, expires: IsoTime, device: Text },
    closed,
  ),
  "session.refreshed": Type.Object(
    {
      session: Uuid,
      token: Sha256,
      generation: Type.Integer({
        minimum: 2,
        description: "The token's number; 1 at the opening.",
      }),
      expires: IsoTime,
    },
    closed,
  ),
  "session.closed": Type.Object({ session: Uuid, reason: Reason }, closed),
} as const satisfies Record<string, TObject>;

type AccountEventType = keyof typeof accountEvents;

export const accountVersions = {
  "account.registered": 1,
  "account.joined": 1,
  "account.left": 1,
  "account.deleted": 1,
  "profile.updated": 1,
  "settings.updated": 1,
  "password.changed": 1,
  "session.opened": 1,
  "session.refreshed": 1,
  "session.closed": 1,
} as const satisfies Record<AccountEventType, number>;

export const accountContent = {
  "account.registered": { email: "", name: "", password: "" },
  "profile.updated": { name: "" },
  "settings.updated": { settings: {} },
  "password.changed": { password: "" },
  "session.opened": { device: "" },
} as const satisfies Partial<Record<AccountEventType, object>>;
