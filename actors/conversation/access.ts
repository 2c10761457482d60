/** What somebody may do with a conversation, as its own state has it. Pure. */
import type { By } from "../../schemas/ids.ts";
import { type Access, shareOf } from "../../schemas/sharing.ts";
import type { ConversationState } from "./state.ts";

/**
 * A user has what is theirs or shared with them, an integration its whole tenant's. `manages`: its
 * gateway says that the user may act on what integrations began. Null: it does not exist for them.
 */
export function accessOf(
  { owner, shares }: Pick<ConversationState, "owner" | "shares">,
  by: By,
  manages = false,
): Access | null {
  if (by.type !== "user" || by.id === owner) return "owner";
  if (owner === null && manages) return "owner";
  return shareOf(shares, by.id);
}
