/** What of a workspace a command changes, for those that shall only be done at a revision. */
import type { WorkspaceCommand } from "../../schemas/commands.ts";
import { get } from "../table.ts";
import type { WorkspaceState } from "./state.ts";

/** The number of the last event that changed it; null for the workspace as a whole. */
export function revisionOf(state: WorkspaceState, command: WorkspaceCommand): number | null {
  switch (command.name) {
    case "configure":
      return state.named;
    case "change-webhook":
    case "remove-webhook":
      // 0 for one that is gone: an event with a number was its last.
      return get(state.webhooks, command.data.webhook)?.revision ?? 0;
    default:
      return null;
  }
}
