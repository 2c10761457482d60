/**
 * `colloquy projections`: what is read from the log, and the operator's hand on it. Every deed works
 * beside a running installation as well as on a data folder that nobody serves.
 */
import { logSource } from "../../projections/log-source.ts";
import { projectors } from "../../projections/projectors/all.ts";
import type { RebuildPorts } from "../../projections/rebuild/rebuild.ts";
import { ensureCatalog } from "../../projections/catalog.ts";
import { systemClock } from "../../schemas/ids.ts";
import { announcePosition } from "../../streams/live/positions.ts";
import { readFast } from "../../streams/log/reader-aside.ts";
import { type Arguments, data_flag } from "../line/arguments.ts";
import type { Command } from "../line/command.ts";
import { readConfig } from "../config.ts";
import { openInstallation } from "../folder/installation.ts";
import { createMeter } from "../line/progress.ts";
import {
  actorOf,
  chosen,
  type Desk,
  drop,
  list,
  nameOf,
  rebuilding,
  retry,
  rollingBack,
  status,
  usage,
  verifying,
} from "./deeds.ts";

const of_all = { json: "for programs", ...data_flag } as const;
const one_or_all = { words: "<name>", words_max: 1 } as const;

export const projections: Command = {
  summary: "what is read from the log",
  usual: "status",
  deeds: {
    list: {
      summary: "lists the read models that this release knows",
      flags: { json: of_all.json },
      run: list,
    },
    status: {
      summary: "shows each generation: version, state, position, lag, parked actors, size",
      flags: of_all,
      run: (given) => at(given, status),
    },
    rebuild: {
      summary: "builds read models anew beside the live ones, and swaps them in",
      ...one_or_all,
      flags: {
        all: "of them",
        until: "<sequence or time> as they were then, with views of their own, and no swap",
        ...of_all,
      },
      run: (given) => at(given, rebuilding, chosen),
    },
    rollback: {
      summary: "shows again what was shown before the last swap",
      ...one_or_all,
      flags: of_all,
      run: (given) => at(given, rollingBack, nameOf),
    },
    drop: {
      summary: "removes what is not live of a read model",
      ...one_or_all,
      flags: { generation: "<number> only this one", ...of_all },
      run: (given) => at(given, drop, nameOf),
    },
    verify: {
      summary:
        "compares read models with what the log gives, row by row; exit code 1 when one differs",
      ...one_or_all,
      flags: { all: "of them", ...of_all },
      run: (given) => at(given, verifying, chosen),
    },
    retry: {
      summary: "applies again what parked an actor",
      words: "<actor id>",
      words_max: 1,
      flags: of_all,
      run: (given) => at(given, retry, actorOf),
    },
  },
};

/** An index over millions of rows takes its time; nobody waits for it. */
const statement_ms = 6 * 3_600_000;

/** `look` refuses what is wrong with the words before any server is asked. */
async function at(
  given: Arguments,
  work: (desk: Desk) => Promise<number>,
  look: (given: Arguments) => unknown = () => undefined,
): Promise<number> {
  check(given);
  look(given);
  const config = readConfig({ COLLOQUY_DATA: given.value("data") });
  const installation = await openInstallation(config);
  const stopping = new AbortController();
  const stop = (): void => stopping.abort();
  const json = given.on("json");
  const meter = createMeter({ json, terminal: process.stderr.isTTY }, () => Date.now());
  process.once("SIGINT", stop).once("SIGTERM", stop);
  try {
    const { streams } = installation;
    const { log, vault, access } = await installation.log();
    const database = await installation.database({ statement_ms });
    await ensureCatalog(database, projectors);
    const ports: RebuildPorts = {
      source: logSource(log, (reading) => readFast(streams, vault, access, reading)),
      ...{ database, clock: systemClock, signal: stopping.signal },
      announce: (name, sequence) => announcePosition(streams, name, sequence),
      progress: (progress) => meter.show(progress),
      step: (what) => meter.note(what),
      waits: (why) => meter.note(why),
    };
    return await work({ given, streams, log, database, meter, ports });
  } finally {
    meter.end();
    process.off("SIGINT", stop).off("SIGTERM", stop);
    await installation.close();
  }
}

/** What can be said to be wrong before any server is asked. */
function check(given: Arguments): void {
  const generation = given.value("generation");
  usage(
    generation === undefined || /^[1-9]\d{0,8}$/.test(generation),
    "--generation is the number of one, as status shows it.",
  );
  const until = given.value("until");
  usage(
    until === undefined || /^\d{1,15}$/.test(until) || !Number.isNaN(Date.parse(until)),
    "--until is a sequence of the log, or a time such as 2026-01-31T12:00:00Z.",
  );
}
