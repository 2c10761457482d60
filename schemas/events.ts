/**
 * The events of each kind of actor: what the log says happened. Each kind has a file in
 * `schemas/events/`; here they are joined. Event types are two tokens, `noun.verb`; data never has a
 * field `type`, since clients read it flattened beside `type`.
 *
 * `contentFields` names what is content: those fields leave the plain commit and travel in its
 * sealed box. What they read as once the key is erased stands there too.
 */
import type { Static } from "typebox";
import { accountContent, accountEvents, accountVersions } from "./events/account.ts";
import {
  conversationContent,
  conversationEvents,
  conversationVersions,
} from "./events/conversation.ts";
import { workspaceContent, workspaceEvents, workspaceVersions } from "./events/workspace.ts";
import type { Kind } from "./ids.ts";

export const eventSchemas = {
  ...conversationEvents,
  ...accountEvents,
  ...workspaceEvents,
} as const;

export type EventType = keyof typeof eventSchemas;
export type ConversationEventType = keyof typeof conversationEvents;
export type AccountEventType = keyof typeof accountEvents;
export type WorkspaceEventType = keyof typeof workspaceEvents;
export type EventData<T extends EventType> = Static<(typeof eventSchemas)[T]>;

/** One event as it stands in a commit. */
export type DomainEvent = {
  [T in EventType]: { readonly type: T; readonly v: number; readonly data: EventData<T> };
}[EventType];

export const eventTypes = Object.keys(eventSchemas) as readonly EventType[]; // keys of a literal
/** The types of each kind of actor. */
export const eventTypesOf = {
  account: Object.keys(accountEvents) as readonly AccountEventType[], // as above
  conversation: Object.keys(conversationEvents) as readonly ConversationEventType[], // as above
  document: [],
  workspace: Object.keys(workspaceEvents) as readonly WorkspaceEventType[], // as above
} as const satisfies Record<Kind, readonly EventType[]>;
export const isEventType = (type: string): type is EventType => Object.hasOwn(eventSchemas, type);

/** The current version of each event type; a change of shape raises it and adds an upcaster. */
export const eventVersions: Readonly<Record<EventType, number>> = {
  ...conversationVersions,
  ...accountVersions,
  ...workspaceVersions,
};

/** The content of each event type, and what it reads as when its key has been erased. */
export const contentFields: Readonly<
  Partial<Record<EventType, Readonly<Record<string, unknown>>>>
> = { ...conversationContent, ...accountContent, ...workspaceContent };

/** The types that end a turn. */
export const endingTypes = ["turn.completed", "turn.cancelled", "turn.failed"] as const;
export type EndingType = (typeof endingTypes)[number];
export const isEnding = (type: string): type is EndingType =>
  (endingTypes as readonly string[]).includes(type);

/** Makes an event of the current version. */
export function event<T extends EventType>(type: T, data: EventData<T>): DomainEvent {
  // The pair of type and data is checked by the signature; the union cannot say so for a generic.
  return { type, v: eventVersions[type], data } as DomainEvent;
}
