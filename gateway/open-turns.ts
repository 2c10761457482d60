/**
 * The turns of a conversation that run or wait, as its commits tell: at most one that runs and
 * `turns_queued_per_conversation_max` that wait (I11).
 */
import type { Commit } from "../schemas/commit.ts";

export class OpenTurns {
  readonly #turns = new Set<string>();

  apply({ events }: Commit): void {
    for (const { type, data } of events) {
      switch (type) {
        case "turn.queued":
        case "turn.started":
          this.#turns.add(data.turn);
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

  all(): string[] {
    return [...this.#turns];
  }
}
