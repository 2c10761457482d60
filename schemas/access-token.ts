/** What an access token says (JWT claims, RFC 7519 §4): who it is for, in which tenant, until when. */
import Type from "typebox";
import { HomeTenant, UserId, Uuid } from "./ids.ts";
import { Role } from "./permissions.ts";
import { check } from "./validate.ts";

/** Times are in seconds since 1970; `sid` names the session that it was given out in, if any. */
export const accessClaims = check(
  Type.Object({
    ...{ sub: UserId, tenant: HomeTenant, role: Role, exp: Type.Integer({ minimum: 0 }) },
    sid: Type.Optional(Uuid),
    nbf: Type.Optional(Type.Number({ minimum: 0 })),
  }),
);
