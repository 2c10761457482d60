/**
 * What the log says of a conversation, folded without the product's own fold: every command's commit,
 * every turn and its text. Kept apart on purpose, so that one mistake cannot hide another.
 */
import { type Commit, lastRevision } from "../../schemas/commit.ts";
import { isEnding } from "../../schemas/events.ts";

export interface Turn {
  readonly message: string;
  /** Null while it has not ended. */
  status: "done" | "cancelled" | "failed" | null;
  text: string;
  restarts: number;
}

export interface Line {
  readonly commits: readonly Commit[];
  /** The commits of each command: more than one is an effect taken twice. */
  readonly byCommand: ReadonlyMap<string, readonly Commit[]>;
  readonly turns: ReadonlyMap<string, Turn>;
  readonly revision: number;
}

export function foldLine(commits: readonly Commit[]): Line {
  const byCommand = new Map<string, Commit[]>();
  const turns = new Map<string, Turn>();
  for (const commit of commits) {
    byCommand.set(commit.command, [...(byCommand.get(commit.command) ?? []), commit]);
    for (const event of commit.events) {
      if (event.type === "turn.queued" || event.type === "turn.started") {
        const { turn, message } = event.data;
        turns.set(turn, { message, status: null, text: "", restarts: 0 });
      } else if (event.type === "turn.restarted") {
        const turn = turns.get(event.data.turn);
        if (turn !== undefined) turn.restarts += 1;
      } else if (isEnding(event.type) && "text" in event.data && "turn" in event.data) {
        const turn = turns.get(event.data.turn);
        if (turn === undefined) continue;
        turn.text = event.data.text;
        turn.status =
          event.type === "turn.completed"
            ? "done"
            : event.type === "turn.cancelled"
              ? "cancelled"
              : "failed";
      }
    }
  }
  const last = commits.at(-1);
  return { commits, byCommand, turns, revision: last === undefined ? 0 : lastRevision(last) };
}

/** What is wrong with a line in itself. */
export function faultsOf(line: Line): string[] {
  const wrong: string[] = [];
  for (const [command, commits] of line.byCommand) {
    if (commits.length > 1) wrong.push(`command ${command} has ${commits.length} commits`);
  }
  for (const [id, turn] of line.turns) {
    if (turn.status === null) wrong.push(`turn ${id} has not ended`);
  }
  return wrong;
}
