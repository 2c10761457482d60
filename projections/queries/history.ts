/**
 * A conversation as it was: the projectors' own folds over its commits, in memory, mapped as stored
 * rows are. So its state at the last revision is what the read models say (I4, I8), and its state at
 * any other is what they said then. Reads nothing: the commits come from the log.
 */
import { setImmediate } from "node:timers/promises";
import { type Commit, lastRevision } from "../../schemas/commit.ts";
import { AppError } from "../../schemas/errors.ts";
import { contentFields, type DomainEvent } from "../../schemas/events.ts";
import type { Message, Share, StoredConversation } from "../../schemas/http.ts";
import { limits } from "../../schemas/limits.ts";
import { foldCommits, type Row, type SheetChange } from "../projector.ts";
import { type ConversationRow, conversations } from "../projectors/conversations.ts";
import { messages, type MessageRow } from "../projectors/messages.ts";
import { type RatingRow, ratings } from "../projectors/ratings.ts";
import { type ShareRow, shares } from "../projectors/shares.ts";
import { storable } from "../rows.ts";
import { conversationOf } from "./conversations.ts";
import { pageSize } from "./cursor.ts";
import { messageOf, messagePage, pageStart } from "./messages.ts";

/** A fold that goes on, commit by commit, from an actor's first. */
export interface Replay {
  /** Throws `AppError("stale")` for a commit that parks its actor in the read models, too. */
  add(commit: Commit): void;
  /** Null before the first commit. */
  conversation(): StoredConversation | null;
  /** Whom it is shared with, by user. */
  shares(): Share[];
  /** The whole tree, oldest first, with the ratings of this user. */
  messages(reader?: string): Message[];
  /** Drops the text of messages that are not among the `size` first behind a revision. */
  forget(after: number, size: number): void;
}

const folded = [conversations, messages, shares, ratings].flatMap(({ sheets }) => sheets);

export function replay(): Replay {
  const changes = folded.map((sheet): SheetChange => ({
    ...{ sheet, rows: new Map(), put: new Set(), cleared: new Map() },
  }));
  const rowsOf = (table: string): Map<string, Row | null> =>
    changes.find(({ sheet }) => sheet.table.name === table)?.rows ?? new Map();
  // Each sheet puts rows of its own type only; the list of all sheets cannot say so.
  const conversationRows = rowsOf("conversations") as Map<string, ConversationRow | null>;
  const messageRows = rowsOf("messages") as Map<string, MessageRow | null>;
  const shareRows = rowsOf("shares") as Map<string, ShareRow | null>;
  const ratingRows = rowsOf("ratings") as Map<string, RatingRow | null>;
  const sorted = (): MessageRow[] =>
    [...messageRows.values()]
      .filter((row) => row !== null)
      .toSorted((one, other) => one.revision - other.revision);

  return {
    add(commit) {
      const [poison] = foldCommits(changes, [commit]);
      if (poison === undefined) return;
      throw new AppError("stale", `The conversation cannot be read further: ${poison.reason}.`);
    },
    conversation() {
      for (const row of conversationRows.values()) {
        if (row !== null) return conversationOf(stored(row));
      }
      return null;
    },
    shares() {
      const found: Share[] = [];
      for (const row of shareRows.values()) {
        if (row === null || row.role === null) continue;
        found.push({ user: row.reader, role: row.role as Share["role"] }); // as the fold writes it
      }
      return found.toSorted((one, other) => (one.user < other.user ? -1 : 1));
    },
    messages(reader) {
      const given = new Map<string, Message["rating"]>();
      for (const row of ratingRows.values()) {
        if (row === null || row.rater !== reader) continue;
        given.set(row.message, row.rating as Message["rating"]); // as above
      }
      return sorted().map((row) => messageOf(stored(row), given.get(row.id) ?? null));
    },
    forget(after, size) {
      const shown = sorted().filter(({ revision }) => revision > after);
      const kept = new Set(shown.slice(0, size));
      for (const [key, row] of messageRows) {
        if (row !== null && !kept.has(row)) messageRows.set(key, { ...row, body: "" });
      }
    },
  };
}

/** The row as a database gives it back. */
const stored = <R extends Row>(row: R): R =>
  // `storable` keeps the type of each value but for booleans, and these tables have none.
  Object.fromEntries(Object.entries(row).map(([column, value]) => [column, storable(value)])) as R;

/** A conversation and a page of its messages as they were; `next` as in lists. */
export interface PastState {
  readonly conversation: StoredConversation;
  readonly shares: readonly Share[];
  readonly messages: Message[];
  readonly next: string | null;
  readonly sequence: number;
}

export interface StatePage {
  /** Whose ratings are shown. */
  readonly reader?: string;
  /** Any revision of the commit that is the last to be folded. */
  readonly revision: number;
  /** Of the messages, as in their list. */
  readonly cursor?: string;
  readonly limit: number;
}

/** Lets everybody else on the loop have a turn after so many commits. */
const breath_commits = 64;
/** Messages that may still move behind those of the page: answers that wait, and then are joined. */
const moving_max = limits.turns_queued_per_conversation_max + 1;

/**
 * The state after the whole commit that holds the revision; null when `commits`, an actor's line from
 * its first one on, ends before it. What is held in memory is bounded by the page, the number of
 * messages and `history_chars_max`, however long the line is. Throws `bad_cursor`, `stale`.
 */
export async function stateAt(
  commits: AsyncIterable<Commit>,
  page: StatePage,
): Promise<PastState | null> {
  const after = pageStart(page.cursor);
  const size = pageSize(page.limit);
  const fold = replay();
  let chars = 0;
  let folded = 0;
  for await (const commit of commits) {
    fold.add(commit);
    if (lastRevision(commit) >= page.revision) {
      const conversation = fold.conversation();
      if (conversation === null) return null;
      const found = fold.messages(page.reader).filter(({ revision }) => revision > after);
      const { items, next } = messagePage(found.slice(0, size + 1), size);
      const { sequence } = commit;
      return { conversation, shares: fold.shares(), messages: [...items], next, sequence };
    }
    for (const { data } of commit.events) if ("text" in data) chars += data.text.length;
    if (chars > limits.history_chars_max) {
      fold.forget(after, size + 1 + moving_max);
      chars = 0;
    }
    folded += 1;
    if (folded % breath_commits === 0) await setImmediate();
  }
  return null;
}

/** The commit as it reads once its actor's key is gone: its content blank, its facts as they were. */
export function blanked(commit: Commit): Commit {
  const events = commit.events.map((event) => {
    const blanks = contentFields[event.type] ?? {};
    // The blanks have the types of the fields that they stand for.
    return { ...event, data: { ...event.data, ...blanks } } as DomainEvent;
  });
  return { ...commit, events, erased: true };
}

/**
 * The commits, blanked when their conversation is deleted, which its last commit says: nothing follows
 * a deletion. Its key is erased a moment later than it is deleted, and readers must not see that moment.
 */
export async function* unlessDeleted(
  commits: AsyncIterable<Commit>,
  last: Commit,
): AsyncGenerator<Commit> {
  const deleted = last.events.some(({ type }) => type === "conversation.deleted");
  for await (const commit of commits) yield deleted ? blanked(commit) : commit;
}
