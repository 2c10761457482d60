/**
 * Parameters of the HTTP API: those behind `?`, and parts of a path that are no UUIDs. The first only
 * describe: the operations read them one by one, since in a query all are text.
 */
import Type from "typebox";
import { eventTypes } from "./events.ts";
import { By, IsoTime, kinds, Uuid } from "./ids.ts";
import { limits } from "./limits.ts";

const page = {
  cursor: Type.Optional(Type.String({ description: "`next` of the page before." })),
  limit: Type.Optional(
    Type.Integer({ minimum: 1, maximum: limits.page_max, default: limits.page_default }),
  ),
};

/** Of every list. */
export const PageQuery = Type.Object(page);

export const ConversationsQuery = Type.Object({
  status: Type.Optional(Type.Enum(["active", "archived"])),
  origin: Type.Optional(Type.Enum(["chat", "api"])),
  shared: Type.Optional(
    Type.Boolean({ description: "Only those shared with the caller, or only the caller's own." }),
  ),
  ...page,
});

export const MessagesQuery = Type.Object({
  all: Type.Optional(Type.Boolean({ description: "The whole tree." })),
  ...page,
});

export const AuditQuery = Type.Object({
  kind: Type.Optional(Type.Enum([...kinds])),
  actor: Type.Optional(Uuid),
  by: Type.Optional(Type.String({ minLength: 1, maxLength: 128 })),
  byType: Type.Optional(By.properties.type),
  type: Type.Optional(Type.Enum([...eventTypes])),
  command: Type.Optional(Uuid),
  trace: Type.Optional(Type.String({ pattern: "^[0-9a-f]{32}$" })),
  from: Type.Optional(IsoTime),
  to: Type.Optional(IsoTime),
  ...page,
});

/** A part of a path. */
export const Revision = Type.String({
  pattern: "^[1-9]\\d{0,15}$",
  description: "A number from 1 on.",
});
