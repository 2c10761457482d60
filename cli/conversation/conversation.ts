/**
 * `colloquy conversation show`: a conversation as it is, as it was behind a revision or at a time, or
 * what changed between two of these. It folds the log itself, so it works with nothing running and
 * without the database. What is held in memory is what one conversation says at two moments.
 */
import { replay, unlessDeleted } from "../../projections/queries/history.ts";
import { type Commit, empty_head, lastRevision } from "../../schemas/commit.ts";
import { type ActorRef, isTenant, isUuid } from "../../schemas/ids.ts";
import { timeOf } from "../../schemas/times.ts";
import { BrokenChain, DamagedCommit } from "../../streams/faults.ts";
import type { Log } from "../../streams/log/log.ts";
import { type Arguments, data_flag } from "../line/arguments.ts";
import type { Command } from "../line/command.ts";
import { CliError, exit_usage } from "../line/cli-error.ts";
import { readConfig } from "../config.ts";
import { differenceLines, stateLines } from "./text.ts";
import { difference, type State } from "../projections/difference.ts";
import { openInstallation } from "../folder/installation.ts";
import { printable, say } from "../line/terminal.ts";

export const conversation: Command = {
  summary: "a conversation as it is and as it was",
  deeds: {
    show: {
      summary: "shows one as the log has it, or what changed between two moments of it",
      words: "<id>",
      words_max: 2,
      flags: {
        at: "<revision or time> as it was then: 7, or 2026-11-21T05:00:00Z",
        diff: "<from> what changed from there to a second moment: show <id> --diff 3 9",
        tenant: "<slug> whose; COLLOQUY_TENANT when absent",
        json: "for programs",
        ...data_flag,
      },
      run: show,
    },
  },
};

/** A moment in a conversation's life: behind the commit that holds a revision, or at a time. */
type Moment =
  | { readonly revision: number; readonly time?: never }
  | { readonly time: string; readonly revision?: never };

async function show(given: Arguments): Promise<number> {
  const config = readConfig({ COLLOQUY_DATA: given.value("data") });
  const { id, moments } = asked(given);
  const tenant = given.value("tenant") ?? config.get("COLLOQUY_TENANT") ?? "main";
  if (!isTenant(tenant)) throw usage("--tenant is a slug of a-z, 0-9 and -.");
  const ref: ActorRef = { tenant, kind: "conversation", id };
  const installation = await openInstallation(config);
  try {
    const { log } = await installation.log();
    const [from, to] = await states(log, ref, moments);
    if (from === undefined) throw new TypeError("every moment has a state");
    const json = given.on("json");
    if (to === undefined) {
      if (from.conversation === null) throw new CliError("The conversation had not begun then.");
      const { revision, at, messages } = from;
      if (json)
        say(
          JSON.stringify(
            { tenant, revision, at, conversation: from.conversation, messages },
            null,
            2,
          ),
        );
      else for (const line of stateLines(tenant, from)) say(line);
      return 0;
    }
    const changes = difference(from, to);
    const end = ({ revision, at }: State) => ({ revision, at });
    if (json)
      say(JSON.stringify({ tenant, id, from: end(from), to: end(to), ...changes }, null, 2));
    else for (const line of differenceLines(ref, from, to, changes)) say(line);
    return 0;
  } catch (error) {
    const damage = error instanceof BrokenChain || error instanceof DamagedCommit;
    throw damage ? new CliError(`${error.message}.`, 1, { cause: error }) : error;
  } finally {
    await installation.close();
  }
}

const usage = (sentence: string): CliError => new CliError(sentence, exit_usage);

/** The conversation and one moment, or two to compare; the flags may stand before or behind its id. */
function asked(given: Arguments): { id: string; moments: readonly Moment[] } {
  const [at, from] = [given.value("at"), given.value("diff")];
  const id = given.rest.find(isUuid);
  const others = given.rest.filter((word) => word !== id);
  if (id === undefined) throw usage("show needs a conversation's id, a lowercase UUID.");
  if (from === undefined) {
    if (others.length > 0) throw usage(`"${printable(others[0] ?? "")}" is one word too many.`);
    return { id, moments: [at === undefined ? { time: end_of_time } : momentOf(at, 1)] };
  }
  const [to] = others;
  if (to === undefined || at !== undefined) {
    throw usage("--diff takes two moments, like --diff 3 9, and no --at.");
  }
  return { id, moments: [momentOf(from, 0), momentOf(to, 0)] };
}

const end_of_time = "9999-12-31T23:59:59.999Z";

/** `least` is 0 where what was before the first event may be meant. */
function momentOf(text: string, least: 0 | 1): Moment {
  if (/^\d{1,9}$/.test(text) && Number(text) >= least) return { revision: Number(text) };
  const time = timeOf(text);
  if (time !== null) return { time };
  throw usage(
    `"${printable(text)}" is neither a revision from ${least} on nor a time with its zone, like 2026-11-21T05:00:00Z.`,
  );
}

const nothing: State = { revision: 0, at: null, conversation: null, messages: [] };

/** The states at the moments, in one pass over the log, which ends at the last of them. */
async function states(log: Log, ref: ActorRef, moments: readonly Moment[]): Promise<State[]> {
  const last = await log.last(ref);
  if (last === null) {
    throw new CliError(
      `There is no conversation ${ref.id} of tenant ${ref.tenant}; --tenant names another.`,
    );
  }
  const end = lastRevision(last);
  for (const { revision = 0 } of moments) {
    if (revision > end) throw new CliError(`The conversation has only come to revision ${end}.`);
  }
  const fold = replay();
  let before: Commit | null = null;
  const now = (): State => {
    if (before === null) return nothing;
    const conversation = fold.conversation();
    return {
      ...{ revision: lastRevision(before), at: before.at, messages: fold.messages() },
      conversation: conversation === null ? null : { ...conversation, shares: fold.shares() },
    };
  };
  const found = new Map<Moment, State>();
  for (const moment of moments) if (moment.revision === 0) found.set(moment, nothing);
  for await (const commit of unlessDeleted(log.read(ref, empty_head), last)) {
    for (const moment of moments) {
      const over = moment.time !== undefined && commit.at > moment.time;
      if (over && !found.has(moment)) found.set(moment, now());
    }
    if (found.size === moments.length) break;
    fold.add(commit);
    before = commit;
    for (const moment of moments) {
      const there = moment.revision !== undefined && lastRevision(commit) >= moment.revision;
      if (there && !found.has(moment)) found.set(moment, now());
    }
    if (found.size === moments.length) break;
  }
  return moments.map((moment) => found.get(moment) ?? now());
}
