/** What an access token says (JWT claims, RFC 7519 §4): who it is for, in which tenant, until when. */
import Type, { type Static } from "typebox";
import { Tenant, UserId } from "./ids.ts";
import { check } from "./validate.ts";

export const Role = Type.Union([
  Type.Literal("member"),
  Type.Literal("admin"),
  Type.Literal("owner"),
]);
export type Role = Static<typeof Role>;

/** `exp` is in seconds since 1970. */
export const accessClaims = check(
  Type.Object({ sub: UserId, tenant: Tenant, role: Role, exp: Type.Integer({ minimum: 0 }) }),
);
