/** The projectors of this release. */
import type { Projector } from "../projector.ts";
import { accounts } from "./accounts.ts";
import { audit } from "./audit.ts";
import { conversations } from "./conversations.ts";
import { messages } from "./messages.ts";
import { modelCalls } from "./model-calls.ts";
import { ratings } from "./ratings.ts";
import { shares } from "./shares.ts";
import { turns } from "./turns.ts";
import { workspaces } from "./workspaces.ts";

export const projectors: readonly Projector[] = [
  conversations,
  messages,
  turns,
  modelCalls,
  audit,
  accounts,
  workspaces,
  shares,
  ratings,
];
