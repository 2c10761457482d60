/** What of an account a command changes, for those that shall only be done at a revision. */
import type { AccountCommand } from "../../schemas/commands.ts";
import type { AccountState } from "./state.ts";

/** The number of the last event that changed it; null for the account as a whole. */
export function revisionOf(state: AccountState, { name }: AccountCommand): number | null {
  if (name === "update-profile") return state.profile;
  return name === "update-settings" ? state.settings : null;
}
