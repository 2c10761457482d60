/**
 * `colloquy anchors`: prints the roots that the log was anchored with, to be kept elsewhere, and makes
 * them now. What they prove stands in docs/OPERATING.md.
 */
import { resolve } from "node:path";
import { isTenant, systemClock, systemIds } from "../schemas/ids.ts";
import { type Anchor, lastAnchor, readAnchors, workspaces } from "../streams/proof/anchors.ts";
import { openRounds } from "../streams/proof/anchor-rounds.ts";
import { commandPublisher } from "../streams/queue/commands.ts";
import type { Streams } from "../streams/connection.ts";
import { lastSequence } from "../streams/log/log.ts";
import { presentWorkers } from "../streams/queue/workers.ts";
import { type Arguments, data_flag } from "./line/arguments.ts";
import type { Command } from "./line/command.ts";
import { CliError, exit_usage } from "./line/cli-error.ts";
import { type Config, readConfig } from "./config.ts";
import { type Installation, openInstallation } from "./folder/installation.ts";
import { secretsOf } from "./services.ts";
import { complain, reason, say } from "./line/terminal.ts";

const of_all = { json: "for programs, one anchor a line", ...data_flag } as const;

export const anchors: Command = {
  summary: "proof that history was not written anew",
  usual: "list",
  deeds: {
    list: {
      summary: "prints the newest root of each tenant, to be kept elsewhere",
      flags: {
        tenant: "<slug> only this tenant's",
        all: "of them, not only the newest",
        ...of_all,
      },
      run: (given) => at(given, list),
    },
    make: {
      summary: "anchors now what has changed",
      flags: of_all,
      run: (given) => at(given, make),
    },
  },
};

interface Desk extends Installation {
  readonly given: Arguments;
  readonly config: Config;
}

async function at(given: Arguments, work: (desk: Desk) => Promise<number>): Promise<number> {
  const tenant = given.value("tenant");
  if (tenant !== undefined && !isTenant(tenant)) {
    throw new CliError("--tenant is a slug of a-z, 0-9 and -.", exit_usage);
  }
  const config = readConfig({ COLLOQUY_DATA: given.value("data") });
  const installation = await openInstallation(config);
  try {
    return await work({ ...installation, given, config });
  } finally {
    await installation.close();
  }
}

async function list({ streams, given }: Desk): Promise<number> {
  const show = printer(given);
  const tenant = given.value("tenant") ?? null;
  let shown = 0;
  for await (const anchor of chosen(streams, tenant, given.on("all"))) {
    show(anchor);
    shown += 1;
  }
  if (shown === 0 && !given.on("json")) complain("There are no anchors yet.");
  return 0;
}

/** In log order, or the newest of each tenant in the order of their names. */
async function* chosen(
  streams: Streams,
  tenant: string | null,
  all: boolean,
): AsyncGenerator<Anchor> {
  if (all) {
    yield* readAnchors(streams, { tenant, until: await lastSequence(streams) });
    return;
  }
  for (const one of [...(await workspaces(streams, tenant)).keys()].sort()) {
    const last = await lastAnchor(streams, one);
    if (last !== null) yield last;
  }
}

async function make({ streams, served, given, config }: Desk): Promise<number> {
  if (!served || (await presentWorkers(streams)).length === 0) {
    throw new CliError("Workers make the anchors, and none is there; start colloquy serve first.");
  }
  const folder = resolve(config.get("COLLOQUY_DATA") ?? ".colloquy");
  const { secret } = secretsOf(config, config.get("NATS_URL") === null, folder);
  const show = printer(given);
  let made = 0;
  const rounds = await openRounds({
    ...{ streams, clock: systemClock, ids: systemIds },
    by: { type: "system", id: "operator" },
    publish: commandPublisher(streams, secret),
    report({ what, ref, error }) {
      complain(`${ref?.tenant ?? ""}: ${what}: ${reason(error)}`);
    },
  });
  const whole = await rounds.next((anchor) => {
    made += 1;
    show(anchor);
  });
  if (made === 0 && whole && !given.on("json")) complain("Nothing has changed since the last.");
  return whole ? 0 : 1;
}

/** Says an anchor; the first with the names of the columns before it. */
function printer(given: Arguments): (anchor: Anchor) => void {
  let begun = false;
  return ({ at: time, tenant, sequence, chains, root, ...more }) => {
    if (given.on("json")) {
      say(JSON.stringify({ at: time, tenant, sequence, chains, root, ...more }));
      return;
    }
    if (!begun) say(row("time", "tenant", "sequence", "chains", "root"));
    begun = true;
    say(row(time, tenant, String(sequence), String(chains), root));
  };
}

const row = (time: string, tenant: string, sequence: string, chains: string, root: string) =>
  `${time.padEnd(24)}  ${tenant.padEnd(16)}  ${sequence.padStart(10)}  ${chains.padStart(6)}  ${root}`;
