/** Bodies of the HTTP API about accounts, workspaces and keys (docs/PROTOCOL.md). */
import Type, { type Static } from "typebox";
import { pageOf } from "./http.ts";
import { HomeTenant, IsoTime, UserId, Uuid } from "./ids.ts";
import { limits } from "./limits.ts";
import { Role, Scopes } from "./permissions.ts";

const closed = { additionalProperties: false } as const;
const nullable = <S extends Type.TSchema>(schema: S) => Type.Union([schema, Type.Null()]);
const Email = Type.String({ minLength: 3, maxLength: limits.email_chars_max });
const Name = Type.String({ minLength: 1, maxLength: limits.name_chars_max });
/** Any characters, no rules about kinds of them (NIST SP 800-63B §3.1.1.2). */
const NewPassword = Type.String({
  minLength: limits.password_chars_min,
  maxLength: limits.password_chars_max,
});
const Password = Type.String({ minLength: 1, maxLength: limits.password_chars_max });
/** A token, key or invitation as it was shown. */
const Shown = Type.String({ minLength: 1, maxLength: 512 });

export const Register = Type.Object(
  { email: Email, password: NewPassword, name: Name, invitation: Type.Optional(Shown) },
  closed,
);
export const Registered = Type.Object({ user: Uuid, tenant: HomeTenant, role: Role });
/** `tenant`: the workspace to sign in to; `invitation`: joins another one first. */
export const Login = Type.Object(
  {
    email: Email,
    password: Password,
    tenant: Type.Optional(HomeTenant),
    invitation: Type.Optional(Shown),
  },
  closed,
);
/** Of who is signed in already: joins another workspace. */
export const Join = Type.Object({ invitation: Shown }, closed);
/** Asked for again, though somebody is signed in: it cannot be undone. */
export const DeleteAccount = Type.Object({ email: Email, password: Password }, closed);
export const Refresh = Type.Object({ refreshToken: Shown }, closed);
export const TokenPair = Type.Object({
  accessToken: Type.String(),
  refreshToken: Type.String(),
  expiresIn: Type.Integer({ description: "Seconds until the access token expires." }),
});
export type TokenPair = Static<typeof TokenPair>;

/** RFC 7517 §5. */
export const Jwks = Type.Object({
  keys: Type.Array(Type.Record(Type.String(), Type.String())),
});

export const Profile = Type.Object({
  id: UserId,
  email: nullable(Type.String()),
  name: Type.String(),
  tenant: HomeTenant,
  role: Role,
  tenants: Type.Array(HomeTenant),
  permissions: Type.Array(Type.String(), {
    description: "What the credential that asks may do: docs/PERMISSIONS.md.",
  }),
});
export const ChangeProfile = Type.Object({ name: Name }, closed);
export const Settings = Type.Record(Type.String(), Type.Unknown());
export const ChangePassword = Type.Object(
  { currentPassword: Password, newPassword: NewPassword },
  closed,
);
export const SessionItem = Type.Object({
  id: Uuid,
  tenant: HomeTenant,
  device: Type.String(),
  createdAt: IsoTime,
  usedAt: IsoTime,
  expiresAt: IsoTime,
  current: Type.Boolean({ description: "Whether it is the one that asks." }),
});

export const Workspace = Type.Object({ tenant: HomeTenant, name: Type.String(), role: Role });
export const ChangeWorkspace = Type.Object({ name: Name }, closed);
export const Member = Type.Object({
  user: UserId,
  name: nullable(Type.String()),
  email: nullable(Type.String()),
  role: Role,
  since: IsoTime,
});
export const ChangeMember = Type.Object({ role: Role }, closed);

export const Invite = Type.Object(
  { role: Type.Optional(Role), email: Type.Optional(Email) },
  closed,
);
const invitation = {
  id: Uuid,
  role: Role,
  email: nullable(Type.String()),
  createdAt: IsoTime,
  expiresAt: IsoTime,
};
export const Invitation = Type.Object(invitation);
export const NewInvitation = Type.Object({
  ...{ id: Uuid, role: Role, email: nullable(Type.String()), expiresAt: IsoTime },
  token: Type.String({ description: "Shown this once." }),
});

export const CreateKey = Type.Object(
  { name: Name, scopes: Scopes, expiresAt: Type.Optional(nullable(IsoTime)) },
  closed,
);
const key = {
  id: Uuid,
  name: Type.String(),
  user: UserId,
  scopes: Scopes,
  expiresAt: nullable(IsoTime),
};
export const ApiKey = Type.Object({ ...key, createdAt: IsoTime });
export const NewApiKey = Type.Object({
  ...key,
  key: Type.String({ description: "Shown this once." }),
});

export const SessionList = pageOf(SessionItem);
export const MemberList = pageOf(Member);
export const InvitationList = pageOf(Invitation);
export const ApiKeyList = pageOf(ApiKey);
