/**
 * What readers think of answers: one row per message and user, the last word of each. A rating that
 * was taken back keeps its row, without a rating; a deleted conversation has none.
 */
import type { Projector, Row, Sheet, Table } from "../projector.ts";

export interface RatingRow extends Row {
  readonly tenant: string;
  readonly conversation: string;
  readonly message: string;
  readonly rater: string;
  /** `up` or `down`; null once it was taken back. */
  readonly rating: string | null;
  readonly comment: string;
  readonly rated_at: string;
  /** The number of the event that it comes from. */
  readonly revision: number;
}

const table: Table = {
  name: "ratings",
  columns: {
    tenant: 'text COLLATE "C"',
    conversation: "uuid",
    message: "uuid",
    rater: 'text COLLATE "C"',
    rating: "text",
    comment: "text",
    rated_at: "timestamptz(3)",
    revision: "integer",
  },
  nullable: ["rating"],
  key: ["tenant", "conversation", "message", "rater"],
  indexes: [],
  hidden: [],
};

const sheet: Sheet<RatingRow> = {
  table,
  part: null,
  wants: () => undefined,
  fold(rows, event, { ref, revision, at, commit }) {
    if (event.type === "conversation.deleted") return rows.clear();
    if (event.type !== "message.rated") return;
    const { message, rating, comment } = event.data;
    const rater = commit.by.id;
    rows.put(`${message} ${rater}`, {
      ...{ tenant: ref.tenant, conversation: ref.id, message, rater },
      ...{ rating, comment, rated_at: at, revision },
    });
  },
};

export const ratings: Projector = {
  name: "ratings",
  version: 1,
  kinds: ["conversation"],
  reads: new Set(["message.rated", "conversation.deleted"]),
  sheets: [sheet],
};
