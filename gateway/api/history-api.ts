/**
 * What happened in a conversation, and how it stood then: both straight from its line of commits, so
 * they know what the leader of the log knows. Whoever may read the conversation may read these, also
 * once it is deleted: then the facts are there and the content is blank.
 */
import { stateAt, unlessDeleted } from "../../projections/queries/history.ts";
import { pageSize, readCursor, writeCursor } from "../../projections/queries/cursor.ts";
import { type Commit, empty_head, type Head, headOf } from "../../schemas/commit.ts";
import { AppError } from "../../schemas/errors.ts";
import { contentFields, type EventType } from "../../schemas/events.ts";
import { ConversationState, LoggedEvent, type Page, pageOf } from "../../schemas/http.ts";
import type { ActorRef } from "../../schemas/ids.ts";
import { limits } from "../../schemas/limits.ts";
import { PageQuery, Revision } from "../../schemas/parameters.ts";
import type { Access } from "../../schemas/sharing.ts";
import { BrokenChain } from "../../streams/faults.ts";
import { type Call, limitOf, type Shown } from "../http/call.ts";
import { type Operation, operation } from "../http/operation.ts";
import { conversationRef } from "../service.ts";

const owners_events: ReadonlySet<EventType> = new Set([
  ...(["conversation.shared", "conversation.unshared", "message.rated"] as const),
]);

/** A place between two events: the last one given, and the head in front of the commit to go on with. */
type Place = readonly [given: number, revision: number, sequence: number, hash: string];

const isPlace = (place: readonly unknown[]): place is Place => {
  const [given, revision, sequence, hash, ...more] = place;
  const numbers = [given, revision, sequence].every(
    (n) => Number.isSafeInteger(n) && Number(n) >= 0,
  );
  const hashed = typeof hash === "string" && /^[0-9a-f]{64}$/.test(hash);
  return numbers && hashed && more.length === 0 && Number(given) >= Number(revision);
};

/** `GET …/events`; a page of very long texts ends early. Throws `not_found`, `bad_cursor`, `bad_request`. */
async function listEvents(call: Call, id: string): Promise<Shown<Page<LoggedEvent>>> {
  const ref = conversationRef(call.who, id);
  const size = pageSize(limitOf(call.query));
  const cursor = call.query.get("cursor");
  const from = cursor === null ? null : readCursor("events", cursor, isPlace);
  const { log } = call.service.ports;
  const { last, access } = await mayRead(call, ref);
  const [given = 0, revision = 0, sequence = 0, hash = empty_head.hash] = from ?? [];
  const items: LoggedEvent[] = [];
  let shown = 0;
  let chars = 0;
  /** In front of the commit that the next page begins in. */
  let head: Head = { revision, sequence, hash };
  try {
    for await (const commit of unlessDeleted(log.read(ref, head), last)) {
      for (const one of eventsOf(commit, access, call.who.user)) {
        if (one.revision <= given) continue;
        const end = items.at(-1);
        const full = items.length === size || chars > limits.history_chars_max;
        if (full && end !== undefined) {
          const next = writeCursor("events", [
            end.revision,
            head.revision,
            head.sequence,
            head.hash,
          ]);
          return { value: { items, next }, sequence: shown };
        }
        items.push(one);
        shown = commit.sequence;
        if (typeof one.data["text"] === "string") chars += one.data["text"].length;
      }
      head = headOf(commit);
    }
  } catch (error) {
    // A cursor that was made up names a place where no commit of this actor follows.
    const forged = error instanceof BrokenChain && from !== null && items.length === 0;
    throw forged ? new AppError("bad_cursor") : error;
  }
  return { value: { items, next: null }, sequence: Math.max(shown, last.sequence) };
}

/** `GET …/at/{revision}`. Throws `not_found`, `revision_not_found`, `bad_cursor`, `overloaded`, `tenant_busy`. */
async function readState(
  call: Call,
  id: string,
  revision: number,
): Promise<Shown<ConversationState>> {
  const ref = conversationRef(call.who, id);
  const cursor = call.query.get("cursor");
  const page = {
    ...{ revision, limit: limitOf(call.query), reader: call.who.user },
    ...(cursor === null ? {} : { cursor }),
  };
  const { last, access } = await mayRead(call, ref);
  if (headOf(last).revision < page.revision) throw new AppError("revision_not_found");
  const { log } = call.service.ports;
  const leave = call.service.folding.enter(ref.tenant);
  try {
    const state = await stateAt(unlessDeleted(log.read(ref, empty_head), last), page);
    if (state === null) throw new AppError("revision_not_found");
    const { conversation, shares: list, sequence, ...value } = state;
    const shares = access === "owner" ? [...list] : null;
    return { value: { ...value, conversation: { ...conversation, access, shares } }, sequence };
  } finally {
    leave();
  }
}

/** The conversation's last commit, for who may read it, and what they may do. Throws `not_found`. */
async function mayRead(
  { service, who }: Call,
  ref: ActorRef,
): Promise<{ readonly last: Commit; readonly access: Access }> {
  const access = await service.owners.accessOf(ref, who);
  const last = access === null ? null : await service.ports.log.last(ref);
  if (access === null || last === null) throw new AppError("not_found");
  return { last, access };
}

/** Whom it is shared with, and who thinks what of its answers, is for its owner. */
function* eventsOf(commit: Commit, access: Access, reader: string): Generator<LoggedEvent> {
  const { by, at, command, erased } = commit;
  for (const [index, { type, data }] of commit.events.entries()) {
    const hidden = access !== "owner" && owners_events.has(type);
    const redacted = hidden || (erased && contentFields[type] !== undefined);
    yield {
      ...{ revision: commit.revision + index, type, data: hidden ? {} : { ...data }, at },
      // A rating would tell another reader's name.
      by: hidden && by.id !== reader ? { ...by, id: "redacted" } : by,
      ...{ command, commit: commit.commit },
      ...(redacted ? { redacted } : {}),
    };
  }
}

const base = "/api/v1/conversations/{id}";

export const operations: readonly Operation[] = [
  operation({
    id: "listEvents",
    method: "GET",
    path: `${base}/events`,
    summary: "Every event of the conversation, oldest first, with the commit that brought it.",
    tag: "history",
    access: "conversations.read",
    limit: "read",
    query: PageQuery,
    answers: { 200: pageOf(LoggedEvent) },
    refuses: ["bad_cursor"],
    run: (call) => listEvents(call, call.param("id")),
  }),
  operation({
    id: "readState",
    method: "GET",
    path: `${base}/at/{revision}`,
    summary: "The conversation as it stood after the commit that holds this revision.",
    tag: "history",
    access: "conversations.read",
    limit: "read",
    params: { revision: Revision },
    query: PageQuery,
    answers: { 200: ConversationState },
    refuses: ["revision_not_found", "bad_cursor", "overloaded", "tenant_busy"],
    run: (call) => readState(call, call.param("id"), Number(call.param("revision"))),
  }),
];
