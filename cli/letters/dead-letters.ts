/**
 * `colloquy deadletters`: lists what could not be handled, shows one, sends some again or drops them.
 * What people wrote is content: it is shown only by `show`, and nothing of it reaches a terminal raw.
 */
import { readParkedActors } from "../../projections/rebuild/status.ts";
import { isTenant, isUuid, systemIds } from "../../schemas/ids.ts";
import { limits } from "../../schemas/limits.ts";
import type { Streams } from "../../streams/connection.ts";
import {
  dropLetter,
  dropLetters,
  type Letter,
  letterAt,
  readLetters,
  resend,
} from "../../streams/queue/letters.ts";
import { presentWorkers } from "../../streams/queue/workers.ts";
import { type Arguments, data_flag } from "../line/arguments.ts";
import type { Command } from "../line/command.ts";
import { CliError, exit_usage } from "../line/cli-error.ts";
import { readConfig } from "../config.ts";
import { openInstallation } from "../folder/installation.ts";
import { inside, outside, summary, whole } from "./letter-text.ts";
import { printable, say } from "../line/terminal.ts";

const listed_default = 100;
const listed_max = 100_000;
const named_max = 1_000;
/** Letters that are on their way at once when many are sent again. */
const resent_at_once = 32;

const of_all = {
  tenant: "<slug> only this tenant's",
  json: "for programs",
  ...data_flag,
} as const;
const some_letters = { words: "<letter or command> …", words_max: named_max } as const;

export const deadletters: Command = {
  summary: "what could not be handled",
  usual: "list",
  deeds: {
    list: {
      summary: "lists them, oldest first",
      flags: { limit: `<number> of them at most, ${listed_default} when absent`, ...of_all },
      run: (given) => at("list", given, list),
    },
    show: {
      summary: "shows one, content and all",
      words: "<letter or command>",
      words_max: 1,
      flags: of_all,
      run: (given) => at("show", given, show),
    },
    retry: {
      summary: "sends them again, with the same ids",
      ...some_letters,
      flags: { all: "of them", ...of_all },
      run: (given) => at("retry", given, retry),
    },
    drop: {
      summary: "removes them for ever",
      ...some_letters,
      flags: { all: "of them", yes: "I mean it", ...of_all },
      run: (given) => at("drop", given, drop),
    },
  },
};
type Verb = "list" | "show" | "retry" | "drop";

/** What a deed works with. */
interface Desk {
  readonly streams: Streams;
  readonly given: Arguments;
  readonly tenant: string | null;
  /** Whether a worker is there to answer. */
  readonly served: boolean;
  /** Actors that a projector has parked; 0 when nobody can say without starting a database. */
  parked(): Promise<number>;
}

async function at(
  verb: Verb,
  given: Arguments,
  work: (desk: Desk) => Promise<number>,
): Promise<number> {
  check(verb, given);
  const config = readConfig({ COLLOQUY_DATA: given.value("data") });
  const { streams, served, close, database } = await openInstallation(config);
  const parked = async (): Promise<number> => {
    if (!served) return 0;
    try {
      return (await readParkedActors(await database(), null)).length;
    } catch {
      return 0;
    }
  };
  try {
    const tenant = given.value("tenant") ?? null;
    return await work({ streams, given, tenant, served, parked });
  } finally {
    await close();
  }
}

/** What can be said to be wrong before any server is asked. */
function check(verb: Verb, given: Arguments): void {
  const usage = (holds: boolean, sentence: string): void => {
    if (!holds) throw new CliError(sentence, exit_usage);
  };
  const tenant = given.value("tenant");
  usage(tenant === undefined || isTenant(tenant), "--tenant is a slug of a-z, 0-9 and -.");
  if (verb === "list") limitOf(given);
  for (const word of given.rest) {
    usage(
      isUuid(word) || /^[1-9]\d{0,15}$/.test(word),
      `"${printable(word)}" is neither a letter's number nor a command's id.`,
    );
  }
  if (verb === "show") usage(given.rest.length === 1, "show needs a letter's number or command.");
  if (verb !== "retry" && verb !== "drop") return;
  const all = given.on("all");
  usage(all !== given.rest.length > 0, `${verb} needs the letters to ${verb}, or --all.`);
  usage(verb !== "drop" || !all || given.on("yes"), "drop --all cannot be undone; say --yes, too.");
}

function limitOf(given: Arguments): number {
  const text = given.value("limit") ?? String(listed_default);
  const limit = /^\d{1,6}$/.test(text) ? Number(text) : 0;
  if (limit >= 1 && limit <= listed_max) return limit;
  throw new CliError(`--limit is a number from 1 to ${listed_max}.`, exit_usage);
}

async function list({ streams, given, tenant, parked }: Desk): Promise<number> {
  const limit = limitOf(given);
  const letters: Letter[] = [];
  let more = 0;
  for await (const { letter, left } of readLetters(streams, tenant)) {
    letters.push(letter);
    more = left;
    if (letters.length === limit) break;
  }
  if (given.on("json")) {
    say(JSON.stringify(letters.map(outside), null, 2));
    return 0;
  }
  if (letters.length === 0) say("There are no dead letters.");
  for (const letter of letters) for (const line of summary(letter)) say(line);
  if (more > 0) say(`… and ${more} more; --limit shows them.`);
  const count = await parked();
  if (count > 0) say(`Parked in read models: ${count}; "colloquy projections status" shows them.`);
  return 0;
}

async function show({ streams, given, tenant }: Desk): Promise<number> {
  const letter = await find(streams, tenant, given.rest[0] ?? "");
  if (given.on("json")) {
    say(JSON.stringify({ ...outside(letter), ...inside(letter) }, null, 2));
    return 0;
  }
  for (const line of whole(letter)) say(line);
  return 0;
}

async function retry({ streams, given, tenant, served }: Desk): Promise<number> {
  const answered = served && (await presentWorkers(streams)).length > 0;
  const options = { inbox: systemIds(), wait_ms: answered ? limits.command_answer_ms : 0 };
  const outcomes: Resent[] = [];
  const tell = (outcome: Resent): void => {
    outcomes.push(outcome);
    if (!given.on("json")) say(`${outcome.letter}  ${outcome.outcome}: ${outcome.detail}`);
  };
  for await (const some of groups(chosen(streams, tenant, given))) {
    const resent = await Promise.all(some.map((letter) => retried(streams, letter, options)));
    for (const outcome of resent) tell(outcome);
  }
  if (given.on("json")) say(JSON.stringify(outcomes, null, 2));
  else if (outcomes.length === 0) say("There are no dead letters.");
  return outcomes.every(({ outcome }) => outcome !== "dead" && outcome !== "stuck") ? 0 : 1;
}

async function drop({ streams, given, tenant }: Desk): Promise<number> {
  const named = await findAll(streams, tenant, given.rest);
  for (const { sequence } of named) await dropLetter(streams, sequence);
  const dropped = given.on("all") ? await dropLetters(streams, tenant) : named.length;
  if (given.on("json")) say(JSON.stringify({ dropped }));
  else say(`${dropped} dropped.`);
  return 0;
}

/** What came of one that was sent again. */
interface Resent {
  readonly letter: number;
  readonly command: string | null;
  readonly outcome: "done" | "refused" | "queued" | "dead" | "stuck";
  readonly detail: string;
  readonly revision?: number;
}

async function retried(
  streams: Streams,
  letter: Letter,
  options: { readonly inbox: string; readonly wait_ms: number },
): Promise<Resent> {
  const { sequence, command, stuck } = letter;
  const of = { letter: sequence, command };
  if (stuck !== null) return { ...of, outcome: "stuck", detail: stuck };
  const reply = await resend(streams, letter, options);
  if (reply === null) {
    return { ...of, outcome: "queued", detail: "it is in the queue again, not answered yet" };
  }
  if (reply.ok) {
    const { revision } = reply;
    return { ...of, outcome: "done", detail: `it stands at revision ${revision}`, revision };
  }
  const { code, message } = reply.error;
  const outcome = code === "command_dead" ? "dead" : "refused";
  return { ...of, outcome, detail: printable(`${code}: ${message}`) };
}

/** The letters that were named, or all of the tenant that are there now. */
async function* chosen(
  streams: Streams,
  tenant: string | null,
  given: Arguments,
): AsyncGenerator<Letter> {
  if (given.on("all")) {
    for await (const { letter } of readLetters(streams, tenant)) yield letter;
    return;
  }
  yield* await findAll(streams, tenant, given.rest);
}

/** All of them before anything is done, so that a wrong word does no half of the work. */
async function findAll(
  streams: Streams,
  tenant: string | null,
  words: readonly string[],
): Promise<Letter[]> {
  const letters: Letter[] = [];
  for (const word of new Set(words)) letters.push(await find(streams, tenant, word));
  return letters;
}

/** In order, some at once; never two of one actor, whose commands keep their order. */
async function* groups(letters: AsyncIterable<Letter>): AsyncGenerator<Letter[]> {
  let some: Letter[] = [];
  for await (const letter of letters) {
    const same = some.some(({ ref }) => ref !== null && ref.id === letter.ref?.id);
    if (same || some.length === resent_at_once) {
      yield some;
      some = [];
    }
    some.push(letter);
  }
  if (some.length > 0) yield some;
}

/** The letter of a number or a command's id. Throws `CliError`. */
async function find(streams: Streams, tenant: string | null, word: string): Promise<Letter> {
  const found: Letter[] = [];
  if (isUuid(word)) {
    for await (const { letter } of readLetters(streams, tenant)) {
      if (letter.command === word) found.push(letter);
    }
  } else {
    const letter = await letterAt(streams, tenant, Number(word));
    if (letter !== null) found.push(letter);
  }
  const [first] = found;
  if (first === undefined) throw new CliError(`There is no dead letter ${word}.`);
  if (found.length > 1) {
    const numbers = found.map(({ sequence }) => sequence).join(", ");
    throw new CliError(`Several dead letters have this command's id: name one of ${numbers}.`);
  }
  return first;
}
