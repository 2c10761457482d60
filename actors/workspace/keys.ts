/** The API keys of a workspace's people. A key is its user's; who manages keys may revoke any. */
import type { CommandData } from "../../schemas/commands.ts";
import { event } from "../../schemas/events.ts";
import { limits } from "../../schemas/limits.ts";
import { allows } from "../../schemas/permissions.ts";
import type { Answer } from "../kind.ts";
import { get } from "../table.ts";
import { already_so, type Caller, decided, isOver, refused } from "./decision.ts";
import { keysOf, type WorkspaceState } from "./state.ts";

export function createKey(
  state: WorkspaceState,
  { user, role, at }: Caller,
  data: CommandData<"create-key">,
): Answer {
  if (!allows(role, null, "keys.write")) return refused("forbidden");
  const same = get(state.keys, data.key);
  if (same !== undefined) {
    return same.user === user && same.secret === data.secret ? already_so : refused("id_taken");
  }
  if (data.expires !== null && isOver(data.expires, at)) {
    return refused("bad_request", "It would be too old already.");
  }
  const full =
    state.keys.size >= limits.keys_per_workspace_max ||
    keysOf(state, user).length >= limits.keys_per_user_max;
  if (full) return refused("too_many_keys");
  return decided(event("key.created", { ...data, user }));
}

export function revokeKey(
  { keys }: WorkspaceState,
  { user, role }: Caller,
  { key }: CommandData<"revoke-key">,
): Answer {
  const found = get(keys, key);
  const own = found?.user === user && allows(role, null, "keys.write");
  if (!own && !allows(role, null, "keys.manage")) return refused("not_found");
  return found === undefined ? already_so : decided(event("key.revoked", { key }));
}
