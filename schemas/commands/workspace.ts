/**
 * What may be asked of a tenant's workspace by people. The gateway has checked the permission of the
 * caller's role; the workspace looks again when the caller is a member of it. `workspaceDuties` come
 * from the system alone.
 */
import Type, { type TObject } from "typebox";
import { closed, expecting, Sha256 } from "../events/fields.ts";
import { workspaceEvents } from "../events/workspace.ts";
import { IsoTime, UserId, Uuid } from "../ids.ts";
import { limits } from "../limits.ts";
import { Role, Scopes } from "../permissions.ts";
import { webhookCommands, webhookDuties } from "./webhook.ts";

const Name = Type.String({ minLength: 1, maxLength: limits.name_chars_max });

export const workspaceCommands = {
  /** The caller becomes its first owner; once. */
  open: Type.Object({ name: Name }, closed),
  configure: Type.Object({ name: Name, ...expecting }, closed),
  /** The caller becomes a member; `token` is the hash of what was shown. */
  join: Type.Object({ invitation: Uuid, token: Sha256 }, closed),
  "change-member": Type.Object({ user: UserId, role: Role }, closed),
  /** Members may remove themselves. The API keys of who goes are revoked; with the last one webhooks end. */
  "remove-member": Type.Object({ user: UserId }, closed),
  /** `user` is the account that `email` makes, who alone may accept it; null: who has the token. */
  invite: Type.Object(
    {
      invitation: Uuid,
      token: Sha256,
      role: Role,
      email: Type.Union([
        Type.String({ minLength: 3, maxLength: limits.email_chars_max }),
        Type.Null(),
      ]),
      user: Type.Union([Uuid, Type.Null()]),
      expires: IsoTime,
    },
    closed,
  ),
  "revoke-invitation": Type.Object({ invitation: Uuid }, closed),
  /** The key is the caller's; `secret` is the hash of its secret. */
  "create-key": Type.Object(
    {
      key: Uuid,
      name: Name,
      secret: Sha256,
      scopes: Scopes,
      expires: Type.Union([IsoTime, Type.Null()]),
    },
    closed,
  ),
  "revoke-key": Type.Object({ key: Uuid }, closed),
  ...webhookCommands,
} as const satisfies Record<string, TObject>;

export const workspaceDuties = {
  /** The root over the heads of the tenant's chains that changed since the last. */
  anchor: Type.Omit(workspaceEvents["chain.anchored"], ["previous"], closed),
  /** An operator took a copy of the tenant's events away. */
  "record-export": workspaceEvents["log.exported"],
  ...webhookDuties,
} as const satisfies Record<string, TObject>;
