/** What must hold at the end of every run, whatever happened in it: I1 to I5, I7 and I12. */
import { type Commit, zero_hash } from "../../schemas/commit.ts";
import { isEnding } from "../../schemas/events.ts";
import { type ActorRef, refKey } from "../../schemas/ids.ts";
import { limits } from "../../schemas/limits.ts";
import { type Law, lawOf, type Standing } from "./laws.ts";
import type { Message } from "./queue.ts";
import type { World } from "./world.ts";

/** `calm`: nothing went wrong in the world, so nothing may be done twice. */
export function violationsOf(world: World, calm: boolean): string[] {
  const { stored, problems, messages } = world;
  const found = [...stored.violations];
  for (const problem of problems) if (!expected.test(problem)) found.push(`I1: ${problem}`);
  const note = (holds: boolean, what: string): void => {
    if (!holds) found.push(what);
  };
  const laws = new Map<string, Law>();
  for (const ref of stored.refs()) {
    const commits = stored.commits(ref);
    const law = lawOf(ref, commits);
    laws.set(refKey(ref), law);
    checkLine(commits, note);
    const again = commits.some(({ events }) =>
      events.some(({ type, data }) => type === "turn.restarted" && !neverRan(events, data.attempt)),
    );
    note(!calm || !again, "I7: a turn was restarted without need");
    checkTurns(world, ref, commits, law, note);
    checkSnapshots(world, ref, commits, law, note);
  }
  for (const message of messages) {
    const { ref } = message;
    checkMessage(world, message, (laws.get(refKey(ref)) ?? lawOf(ref, [])).standings, note);
  }
  return found;
}

/** What a worker says when the troubles are to blame. */
const expected = /(could not be erased yet|an actor waits): AppError: simulated$/;

type Note = (holds: boolean, what: string) => void;

function checkLine(commits: readonly Commit[], note: Note): void {
  const made = commits.map(({ command }) => command);
  note(new Set(made).size === made.length, "I2: a command made two commits");
  let prev = zero_hash;
  let revision = 1;
  for (const commit of commits) {
    note(commit.prev === prev, "I3: a commit does not name the one before");
    note(commit.revision === revision, "I3: revisions have a gap");
    prev = commit.hash;
    revision += commit.events.length;
  }
}

/** An attempt that begins in the commit that ends it: what voids the one before, and nothing more. */
const neverRan = (events: Commit["events"], attempt: number): boolean =>
  events.some(
    ({ type, data }) =>
      type === "turn.restarted" && data.reason === "voided" && data.attempt === attempt,
  );

function checkTurns(
  { stored, calls }: World,
  ref: ActorRef,
  commits: readonly Commit[],
  { end }: Law,
  note: Note,
): void {
  if (end === null) return;
  note(end.running === null, "I7: a turn is left running");
  note(end.queue.length === 0, "I7: a turn is left waiting");
  const begun = new Set<string>();
  const ended = new Map<string, number>();
  const owners = new Map<string, string>();
  const billed = new Set<string>();
  for (const { events, by } of commits) {
    for (const { type, data } of events) {
      if (type === "turn.queued" || type === "turn.started") begun.add(data.turn);
      if (type === "turn.started" || type === "turn.restarted") {
        owners.set(`${data.turn} ${data.attempt}`, data.owner);
        const ran = data.attempt - (neverRan(events, data.attempt) ? 1 : 0);
        note(ran <= limits.turn_attempts_max, "I7: too many attempts");
      }
      if (type === "model.attempted") billed.add(`${data.turn} ${data.attempt}`);
      if (!isEnding(type) || !("frames" in data) || !("message" in data)) continue;
      ended.set(data.turn, (ended.get(data.turn) ?? 0) + 1);
      const { turn, attempt, text, seq, frames } = data;
      // Its text is that of the one before.
      const unrun = neverRan(events, attempt);
      const seen = stored.frames(ref, turn, unrun ? attempt - 1 : attempt);
      const lost = events.some((one) => "outcome" in one.data && one.data.outcome === "lost");
      const own =
        !lost && !unrun && by.type === "system" && by.id === owners.get(`${turn} ${attempt}`);
      const shown = seen
        .slice(0, seq)
        .map(({ d }) => d)
        .join("");
      note(shown === text, `I5: ${type} holds another text than its frames`);
      note(frames.lengths.length === seq, "I5: an ending does not know its frames");
      // Whoever ran it knows all of them; another sees those that have come by then.
      note(!own || seen.length === seq, `I5: ${seen.length - seq} frames after ${type}`);
    }
  }
  note(
    [...begun].every((turn) => ended.get(turn) === 1),
    "I7: a turn has no end, or two",
  );
  const callers = new Map<string, string>();
  for (const { turn, attempt, worker } of calls) {
    if (!begun.has(turn)) continue;
    const key = `${turn} ${attempt}`;
    note((callers.get(key) ?? worker) === worker, "I7: two workers ran one attempt");
    callers.set(key, worker);
    note(billed.has(key), `I12: a call of ${turn} ${attempt} is not on the bill`);
  }
}

/** Every snapshot that was taken is the state behind the commit that it names. */
function checkSnapshots(
  { stored }: World,
  ref: ActorRef,
  commits: readonly Commit[],
  { standings, other }: Law,
  note: Note,
): void {
  for (const { ref: whose, snapshot } of stored.snapshots) {
    if (refKey(whose) !== refKey(ref)) continue;
    const at = commits.findIndex(({ hash }) => hash === snapshot.head.hash);
    note(at >= 0, "I4: a snapshot of what the log does not hold");
    if (at < 0) continue;
    const state = snapshot.state as { value: unknown; context: unknown };
    const folded = standings[at + 1];
    note(same(state.context, folded?.context), "I4: a snapshot differs from the fold");
    note(same(state.value, folded?.value), "I4: a snapshot is in another state than the fold");
    const places = commits.slice(0, at + 1).map(({ command, revision, events, sequence }) => {
      return [command, revision + events.length - 1, sequence];
    });
    note(same(snapshot.commits, places), "I2: a snapshot forgets commands");
  }
  note(same(other, standings.at(-1)?.context), "I4: the fold in another way differs");
}

const same = (one: unknown, other: unknown): boolean =>
  JSON.stringify(one) === JSON.stringify(other);

/** Its answers are true of the log as it was between its sending and its answer. */
function checkMessage(
  { stored, replies }: World,
  message: Message,
  standings: readonly Standing[],
  note: Note,
): void {
  const { ref, id, sequence, state } = message;
  const commits = stored.commits(ref);
  const own = commits.findIndex(({ command }) => command === id);
  const answers = replies.get(sequence) ?? [];
  const said = `${message.command.name} ${id}`;
  note(own >= 0 || answers.length > 0 || state === "dead", `I1: nobody knows of ${said}`);
  for (const { reply, commits: then } of answers) {
    if (reply.ok && own >= 0 && own < then) {
      const commit = commits[own];
      const revision = (commit?.revision ?? 0) + (commit?.events.length ?? 0) - 1;
      const true_place = reply.revision === revision && reply.sequence === commit?.sequence;
      note(true_place, `I2: ${said} is answered with another place`);
      continue;
    }
    note(own < 0 || own >= then, `I1: ${said} took effect and is refused`);
    const held = standings.slice(message.commits_before, then + 1);
    const told = reply.ok ? "" : `refused ${reply.error.code}`;
    note(
      held.some((at) => at.answer(message) === told),
      `I1: ${said} is answered ${reply.ok ? "already so" : reply.error.code}, which never held`,
    );
  }
}
