/**
 * The turns of a conversation that run or wait, as its commits tell: at most one that runs and
 * `turns_queued_per_conversation_max` that wait (I11).
 */
import type { Commit } from "../../schemas/commit.ts";

export class OpenTurns {
  /** Turn → the number of the event that began it; in that order. */
  readonly #turns = new Map<string, number>();

  apply({ revision, events }: Commit): void {
    for (const [index, { type, data }] of events.entries()) {
      switch (type) {
        case "turn.queued":
        case "turn.started":
          if (!this.has(data.turn)) this.#turns.set(data.turn, revision + index);
          break;
        case "turn.completed":
        case "turn.cancelled":
        case "turn.failed":
          this.#turns.delete(data.turn);
          break;
        default:
      }
    }
  }

  has(turn: string): boolean {
    return this.#turns.has(turn);
  }

  /** The one that runs, since it is the oldest; `revision`: the event that began it. */
  first(): { readonly turn: string; readonly revision: number } | null {
    for (const [turn, revision] of this.#turns) return { turn, revision };
    return null;
  }

  all(): string[] {
    return [...this.#turns.keys()];
  }
}
