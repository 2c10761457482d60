/**
 * `colloquy erasures`: the list of what was erased, from the log and the data folder's own list, and
 * its application to an installation that was restored from a backup.
 */
import { readFileSync } from "node:fs";
import { resolve } from "node:path";
import { type Deletion, readDeletions } from "../../streams/content/erasure.ts";
import { type Arguments, data_flag } from "../line/arguments.ts";
import type { Command } from "../line/command.ts";
import { CliError, exit_usage } from "../line/cli-error.ts";
import { type Config, readConfig } from "../config.ts";
import { lineOf, missingIn, openErasureList, parseErasures, readErasures } from "./erasure-list.ts";
import { applyErasures } from "./erasing.ts";
import { openInstallation } from "../folder/installation.ts";
import { secretsOf } from "../services.ts";
import { complain, printable, reason, say } from "../line/terminal.ts";

const of_all = { json: "for programs", ...data_flag } as const;

export const erasures: Command = {
  summary: "what was erased, and erasing it again in what was restored",
  usual: "list",
  deeds: {
    list: {
      summary: "prints a line each: time, tenant, kind, id, sequence of the deletion",
      flags: of_all,
      run: list,
    },
    apply: {
      summary: "erases what is on a list that was printed before",
      words: "<file>",
      words_max: 1,
      flags: of_all,
      run: apply,
    },
  },
};

const configOf = (given: Arguments): Config => readConfig({ COLLOQUY_DATA: given.value("data") });

/** The data folder with a list of its own; null with NATS_URL. */
const folderOf = (config: Config): string | null =>
  config.get("NATS_URL") === null ? resolve(config.get("COLLOQUY_DATA") ?? ".colloquy") : null;

function remembered(folder: string | null): readonly Deletion[] {
  if (folder === null) return [];
  const { erasures, unreadable } = parseErasures(readErasures(folder).toString("latin1"));
  tellUnreadable(unreadable, "the data folder's list");
  return erasures;
}

function tellUnreadable(lines: readonly number[], where: string): void {
  if (lines.length === 0) return;
  complain(`${where} has lines that cannot be read: ${lines.slice(0, 20).join(", ")}`);
}

async function list(given: Arguments): Promise<number> {
  const config = configOf(given);
  const { streams, close } = await openInstallation(config);
  try {
    const logged: Deletion[] = [];
    for await (const deletion of readDeletions(streams)) logged.push(deletion);
    // What the log does not know: it was restored from before that deletion.
    const known = remembered(folderOf(config));
    const all = [...logged, ...missingIn(logged, known)];
    for (const one of all) {
      const { at, ref, sequence } = one;
      say(given.on("json") ? JSON.stringify({ at, ...ref, sequence }) : lineOf(one));
    }
    return 0;
  } finally {
    await close();
  }
}

async function apply(given: Arguments): Promise<number> {
  const [file] = given.rest;
  if (file === undefined) throw new CliError("apply needs the file of a list.", exit_usage);
  const { erasures, unreadable } = parseErasures(textOf(file));
  tellUnreadable(unreadable, printable(file));
  const config = configOf(given);
  const { streams, served, log, close } = await openInstallation(config);
  try {
    const folder = folderOf(config);
    if (folder !== null) {
      const own = openErasureList(folder);
      for (const one of missingIn(remembered(folder), erasures)) await own.remember(one);
    }
    const { secret } = secretsOf(config, folder !== null, folder ?? "");
    const { erased, deleted } = await applyErasures(
      { streams, secret, ...(await log()) },
      erasures,
    );
    if (given.on("json")) {
      say(JSON.stringify({ listed: erasures.length, erased, deleted, unreadable }));
    } else {
      say(`${erasures.length} on the list, ${erased} had come back and are erased.`);
      const when = served ? "now" : "as soon as Colloquy is served";
      if (deleted > 0) say(`${deleted} are not deleted in this log and will be, ${when}.`);
    }
    return unreadable.length === 0 ? 0 : 1;
  } finally {
    await close();
  }
}

/** A list as it was printed, in either form. */
function textOf(file: string): string {
  try {
    return readFileSync(file, "utf8")
      .split("\n")
      .map((line) => (line.startsWith("{") ? fromJson(line) : line))
      .join("\n");
  } catch (cause) {
    throw new CliError(`${printable(file)} cannot be read: ${reason(cause)}.`, 1, { cause });
  }
}

function fromJson(line: string): string {
  const parsed: unknown = JSON.parse(line);
  if (typeof parsed !== "object" || parsed === null) return line;
  const fields = new Map<string, unknown>(Object.entries(parsed));
  return ["at", "tenant", "kind", "id", "sequence"].map((key) => String(fields.get(key))).join(" ");
}
