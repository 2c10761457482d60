/** The projectors of this release. */
import type { Projector } from "../projector.ts";
import { audit } from "./audit.ts";
import { conversations } from "./conversations.ts";
import { messages } from "./messages.ts";
import { modelCalls } from "./model-calls.ts";
import { turns } from "./turns.ts";

export const projectors: readonly Projector[] = [conversations, messages, turns, modelCalls, audit];
