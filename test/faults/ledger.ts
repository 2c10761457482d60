/** Every command that a client of the run has sent, and every answer that it got: what is judged. */
import type { ActorRef } from "../../schemas/ids.ts";

export type CommandType = "send" | "edit" | "regenerate" | "cancel";

export type Answer =
  | { readonly ok: true; readonly revision: number; readonly seq: number }
  | { readonly ok: false; readonly code: string };

export interface Entry {
  readonly id: string;
  readonly ref: ActorRef;
  readonly type: CommandType;
  /** In the order in which they came; none of one whose sender went away at once. */
  readonly answers: Answer[];
}

export interface Ledger {
  readonly entries: ReadonlyMap<string, Entry>;
  /** The entry of a command; a repeat with the same id has the same. */
  entry(id: string, ref: ActorRef, type: CommandType): Entry;
}

export function openLedger(): Ledger {
  const entries = new Map<string, Entry>();
  return {
    entries,
    entry(id, ref, type) {
      const known = entries.get(id);
      if (known !== undefined) return known;
      const made = { id, ref, type, answers: [] };
      entries.set(id, made);
      return made;
    },
  };
}

/** Whether a client was told that the command is done. */
export const acknowledged = (entry: Entry): boolean => entry.answers.some(({ ok }) => ok);
