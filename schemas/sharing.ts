/**
 * What a user may do with a conversation. Its owner may do everything; editors and viewers are those it
 * is shared with. Actors and gateways fold the same events into the same list.
 */
import Type, { type Static } from "typebox";

export const ShareRole = Type.Union([Type.Literal("editor"), Type.Literal("viewer")], {
  description: "Editors write in it, viewers read it.",
});
export type ShareRole = Static<typeof ShareRole>;

export const Access = Type.Union([Type.Literal("owner"), ...ShareRole.anyOf]);
export type Access = Static<typeof Access>;

/** Whom it is shared with, by user id. */
export type Shares = Readonly<Record<string, ShareRole>>;
export const no_shares: Shares = {};

/** A user id may be a word that every object knows, like `constructor`. */
export const shareOf = (shares: Shares, user: string): ShareRole | null =>
  Object.hasOwn(shares, user) ? (shares[user] ?? null) : null;

/** The list with this user in it; with `null`, without. */
export function withShare(shares: Shares, user: string, role: ShareRole | null): Shares {
  const { [user]: _before, ...others } = shares;
  return role === null ? others : { ...others, [user]: role };
}

const rank = { viewer: 1, editor: 2, owner: 3 } as const satisfies Record<Access, number>;

/** Whether who has `access` (null: none) has at least `least`. */
export const reaches = (access: Access | null, least: Access): boolean =>
  access !== null && rank[access] >= rank[least];
