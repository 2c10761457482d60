/** The switch to a compacted folder: whole or not at all, wherever it was interrupted. */
import { mkdirSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { declareComplete, finishSwitch, workshopOf } from "../../cli/folder/folder-switch.ts";
import { storeOf } from "../../streams/server.ts";
import { temporary } from "../support/services.ts";

let folder: string;
beforeEach(() => {
  folder = temporary("switch");
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

const put = (file: string, text: string): void => {
  mkdirSync(dirname(file), { recursive: true });
  writeFileSync(file, text);
};
const files = (): Record<string, string> =>
  Object.fromEntries(
    readdirSync(folder, { recursive: true, withFileTypes: true })
      .filter((entry) => entry.isFile())
      .map((entry) => join(entry.parentPath, entry.name))
      .map((file) => [file.slice(folder.length + 1), readFileSync(file, "utf8")] as const)
      .sort(([one], [other]) => (one < other ? -1 : 1)),
  );

const log = storeOf("", "EVENTS");
const queue = storeOf("", "COMMANDS");
const old = {
  [`${queue}/1.blk`]: "old queue",
  [`${log}/1.blk`]: "the log",
  "postgres/rows": "old rows",
};
const fresh = {
  [`${queue}/2.blk`]: "new queue",
  [`${log}/1.blk`]: "the log",
  "postgres/rows": "new rows",
};

/** A folder with a new store and new read models beside the old ones. */
function prepared(): void {
  for (const [file, text] of Object.entries(old)) put(join(folder, file), text);
  for (const [file, text] of Object.entries(fresh)) {
    if (!file.startsWith(log)) put(join(workshopOf(folder), file), text);
  }
}

test("an attempt that was never declared complete is forgotten", () => {
  prepared();
  finishSwitch(folder);
  expect(files()).toEqual(old);
  finishSwitch(folder);
  expect(files()).toEqual(old);
});

const workshop = (...parts: string[]): string => join(workshopOf(folder), ...parts);
/** What the switch does, one step at a time. */
const steps: readonly (() => void)[] = [
  () => renameSync(join(folder, log), workshop(log)),
  () => renameSync(join(folder, "nats"), workshop("old-nats")),
  () => renameSync(workshop("nats"), join(folder, "nats")),
  () => renameSync(join(folder, "postgres"), workshop("old-postgres")),
  () => renameSync(workshop("postgres"), join(folder, "postgres")),
  () => rmSync(workshop("old-nats"), { recursive: true }),
  () => rmSync(workshop("complete")),
];

test.each(steps.map((_, at) => at).concat(steps.length))(
  "one that was declared goes on to its end after %i steps",
  (done) => {
    prepared();
    declareComplete(folder);
    for (const step of steps.slice(0, done)) step();
    finishSwitch(folder);
    expect(files()).toEqual(fresh);
    expect(readdirSync(folder).sort()).toEqual(["nats", "postgres"]);
  },
);

test("without read models of its own only the store is switched", () => {
  prepared();
  rmSync(workshop("postgres"), { recursive: true });
  declareComplete(folder);
  finishSwitch(folder);
  expect(files()).toEqual({ ...fresh, "postgres/rows": "old rows" });
});
