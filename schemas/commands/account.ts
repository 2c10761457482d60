/**
 * What may be asked of an account, by itself (`by` is its own user) or by the system. The gateway has
 * checked passwords and hashed tokens before: an account never sees a secret.
 */
import Type, { type TObject } from "typebox";
import { closed, expecting, NullableUuid, Sha256 } from "../events/fields.ts";
import { HomeTenant, IsoTime, Uuid } from "../ids.ts";
import { limits } from "../limits.ts";

const Name = Type.String({ minLength: 1, maxLength: limits.name_chars_max });
/** A PHC string: https://github.com/P-H-C/phc-string-format. */
const Password = Type.String({
  pattern: "^\\$argon2id\\$[\\x21-\\x7e]+$",
  maxLength: limits.password_hash_chars_max,
});

export const accountCommands = {
  /** Its id is made of `email`, normalised. `home` is where it shall belong, so that a crash is made good. */
  register: Type.Object(
    {
      home: HomeTenant,
      email: Type.String({ minLength: 3, maxLength: limits.email_chars_max }),
      name: Name,
      password: Password,
    },
    closed,
  ),
  /** It became a member of the tenant's workspace. */
  "join-tenant": Type.Object({ tenant: HomeTenant }, closed),
  /** It is a member no longer: its sessions there end. */
  "leave-tenant": Type.Object({ tenant: HomeTenant }, closed),
  "update-profile": Type.Object({ name: Name, ...expecting }, closed),
  /** The whole object; at most `settings_bytes_max` of JSON. */
  "update-settings": Type.Object(
    { settings: Type.Record(Type.String(), Type.Unknown()), ...expecting },
    closed,
  ),
  /** Ends every session but `keep`. */
  "change-password": Type.Object({ password: Password, keep: NullableUuid }, closed),
  /** `token` is the hash of its first refresh token. */
  "open-session": Type.Object(
    {
      session: Uuid,
      tenant: HomeTenant,
      token: Sha256,
      expires: IsoTime,
      device: Type.String({ maxLength: limits.device_chars_max }),
    },
    closed,
  ),
  /** `token` is the hash of what was shown, `next` that of the token to come. */
  refresh: Type.Object({ session: Uuid, token: Sha256, next: Sha256, expires: IsoTime }, closed),
  "close-session": Type.Object({ session: Uuid }, closed),
  /** For ever: its content is erased, and its address is never given again. */
  delete: Type.Object({}, closed),
} as const satisfies Record<string, TObject>;
