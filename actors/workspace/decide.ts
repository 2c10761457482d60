/**
 * What a workspace answers to a command: events, or a refusal by name. Pure. Only the system asks
 * anything of it; to others it does not exist (I10).
 */
import type { WorkspaceCommand } from "../../schemas/commands.ts";
import { event } from "../../schemas/events.ts";
import type { By } from "../../schemas/ids.ts";
import type { Answer } from "../kind.ts";
import type { WorkspaceState } from "./state.ts";

export function decide(state: WorkspaceState, command: WorkspaceCommand, by: By): Answer {
  if (!mayAct(by)) return { is: "refused", code: "not_found" };
  switch (command.name) {
    case "anchor": {
      const { root, from, sequence } = command.data;
      // However often it comes, and however long ago its id was forgotten (I2).
      if (root === state.root && sequence === state.sequence) return { is: "events", events: [] };
      if (from !== state.sequence + 1 || sequence < from) {
        const detail = `The next anchor begins at EVENTS sequence ${state.sequence + 1}.`;
        return { is: "refused", code: "anchor_behind", detail };
      }
      const anchored = event("chain.anchored", { ...command.data, previous: state.root });
      return { is: "events", events: [anchored] };
    }
    case "record-export":
      return { is: "events", events: [event("log.exported", command.data)] };
    default:
      return { is: "refused", code: "unknown_command" };
  }
}

export const mayAct = (by: By): boolean => by.type === "system";
