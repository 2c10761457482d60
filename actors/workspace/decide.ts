/**
 * What a workspace answers to a command: events, or a refusal by name. Pure. The gateway has checked
 * what the caller's role allows; the workspace knows its members itself, and what it knows of a caller
 * counts, since a token may be older. To integrations it does not exist (I10).
 */
import type { CommandData, WorkspaceCommand } from "../../schemas/commands.ts";
import { event } from "../../schemas/events.ts";
import type { By } from "../../schemas/ids.ts";
import type { Answer, Asking } from "../kind.ts";
import { already_so, type Caller, decided, refused, roleOf } from "./decision.ts";
import { createKey, revokeKey } from "./keys.ts";
import { changeMember, configure, joinBy, openBy, removeMember } from "./members.ts";
import { invite, revokeInvitation } from "./invitations.ts";
import type { WorkspaceState } from "./state.ts";
import { createWebhook, disableWebhook, ofWebhook } from "./webhooks.ts";

export function decide(
  state: WorkspaceState,
  command: WorkspaceCommand,
  { by, at }: Pick<Asking, "by" | "at">,
): Answer {
  if (!mayAct(by)) return refused("not_found");
  if (isSystems(command)) {
    return by.type === "system" ? decideForSystem(state, command) : refused("not_found");
  }
  if (command.name === "open") return openBy(state, by, command.data);
  if (command.name === "join") return joinBy(state, by, command.data, at);
  const role = roleOf(state, by);
  if (role === null) return refused("forbidden");
  const caller: Caller = { user: by.id, role, at };
  switch (command.name) {
    case "configure":
      return configure(state, caller, command.data);
    case "change-member":
      return changeMember(state, caller, command.data);
    case "remove-member":
      return removeMember(state, caller, command.data);
    case "invite":
      return invite(state, caller, command.data);
    case "revoke-invitation":
      return revokeInvitation(state, caller, command.data);
    case "create-key":
      return createKey(state, caller, command.data);
    case "revoke-key":
      return revokeKey(state, caller, command.data);
    case "create-webhook":
      return createWebhook(state, caller, command.data);
    case "change-webhook":
    case "remove-webhook":
    case "test-webhook":
    case "replay-webhook":
      return ofWebhook(state, caller, command);
  }
}

type ForSystem = Extract<
  WorkspaceCommand,
  { name: "anchor" | "record-export" | "disable-webhook" }
>;
const isSystems = (command: WorkspaceCommand): command is ForSystem =>
  command.name === "anchor" ||
  command.name === "record-export" ||
  command.name === "disable-webhook";

/** What only the system asks. */
function decideForSystem(state: WorkspaceState, command: ForSystem): Answer {
  switch (command.name) {
    case "anchor":
      return anchor(state, command.data);
    case "record-export":
      return decided(event("log.exported", command.data));
    case "disable-webhook":
      return disableWebhook(state, command.data);
  }
}

export const mayAct = (by: By): boolean => by.type !== "integration";

function anchor(
  { root: last, sequence: end }: WorkspaceState,
  data: CommandData<"anchor">,
): Answer {
  const { root, from, sequence } = data;
  // However often it comes, and however long ago its id was forgotten (I2).
  if (root === last && sequence === end) return already_so;
  if (from !== end + 1 || sequence < from) {
    return refused("anchor_behind", `The next anchor begins at EVENTS sequence ${end + 1}.`);
  }
  return decided(event("chain.anchored", { ...data, previous: last }));
}
