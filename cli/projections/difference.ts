/** What changed between two states of a conversation: of itself, and message by message. Pure. */
import type { Conversation, Message } from "../../schemas/http.ts";

/** A conversation as an operator sees it, with all whom it is shared with. */
export type WholeConversation = Omit<Conversation, "access">;

/** A conversation behind one of its commits; null before its first. */
export interface State {
  /** The number of the last event in it; 0 before the first. */
  readonly revision: number;
  /** When that came; null before the first. */
  readonly at: string | null;
  readonly conversation: WholeConversation | null;
  readonly messages: readonly Message[];
}

interface Change {
  readonly field: string;
  readonly from: unknown;
  readonly to: unknown;
}

export interface Difference {
  /** Fields of the conversation; all of them when it began in between. */
  readonly conversation: readonly Change[];
  readonly added: readonly Message[];
  readonly changed: readonly { readonly message: Message; readonly fields: readonly Change[] }[];
  readonly removed: readonly Message[];
}

/** Fields of `to` that differ from those of `from`; what always moves on says nothing. */
function fields(from: object, to: object): Change[] {
  const before: Readonly<Record<string, unknown>> = { ...from };
  return Object.entries(to).flatMap(([field, value]) => {
    const same = JSON.stringify(before[field]) === JSON.stringify(value);
    if (same || field === "revision" || field === "updatedAt") return [];
    return [{ field, from: before[field] ?? null, to: value }];
  });
}

export function difference(from: State, to: State): Difference {
  const before = new Map(from.messages.map((one) => [one.id, one]));
  const after = new Set(to.messages.map(({ id }) => id));
  const added: Message[] = [];
  const changed: { message: Message; fields: Change[] }[] = [];
  for (const message of to.messages) {
    const was = before.get(message.id);
    if (was === undefined) added.push(message);
    else {
      const differing = fields(was, message);
      if (differing.length > 0) changed.push({ message, fields: differing });
    }
  }
  return {
    conversation: fields(from.conversation ?? {}, to.conversation ?? {}),
    ...{ added, changed },
    removed: from.messages.filter(({ id }) => !after.has(id)),
  };
}
