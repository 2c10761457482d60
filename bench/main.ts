/** `npm run bench -- <scenario> [--json] [--scale 0.1] [--rate 200] …`: measures, and never judges. */
import { parseArgs } from "node:util";
import { append } from "./append.ts";
import { awake } from "./awake.ts";
import { cold } from "./cold.ts";
import { commands } from "./commands.ts";
import { fairness } from "./fairness.ts";
import { fanout } from "./fanout.ts";
import { type Figure, machine, type Sync, syncs } from "./figures.ts";
import { http } from "./http.ts";
import { beginWith } from "./processes.ts";
import { resume } from "./resume.ts";
import { projectionLag } from "./projection-lag.ts";
import { rebuildScenario } from "./rebuild.ts";
import { takeover } from "./takeover.ts";
import { turns } from "./turns.ts";
import { verify } from "./verify.ts";

const scenarios = {
  append: "commits per second into the log, beside bare publishes of the same size",
  commands: "commands per second acknowledged with their commit, one worker and two",
  cold: "time to load a conversation of 10, 1,000 and 10,000 events",
  awake: "memory of a conversation that is loaded",
  takeover: "time from kill -9 of a worker to the next token of the answer it was writing",
  turns: "first-token latency, turns per second beside a bare loop, CPU per token",
  fairness: "what a tenant at full load does to the latency of another",
  fanout: "deliveries per second of one conversation to many sockets, latency, memory a socket",
  http: "requests per second and their P95: the edge beside a bare route, a read, a command",
  resume: "time to the second half of an answer for who comes back, and for 10,000 at once",
  rebuild: "events per second into new read models, on Postgres and on PGlite, and memory",
  "projection-lag": "time from an append until Postgres shows it, at 100, 1,000 and 3,000 events/s",
  verify: "events per second of a log whose chains are proved",
} as const;

function usage(why: string): never {
  process.stderr.write(`${why}\n\nScenarios:\n`);
  for (const [name, what] of Object.entries(scenarios))
    process.stderr.write(`  ${name.padEnd(14)} ${what}\n`);
  process.stderr.write(
    "\nFlags: --json, --scale <number> (of the amounts), --rate <turns/s>, --sockets <n>,\n" +
      `       --sync ${syncs.join("|")} (both when left out),\n` +
      "       --cluster <folder> (an initialised one of the embedded database, to begin with copies)\n",
  );
  process.exit(2);
}

function readFlags() {
  try {
    return parseArgs({
      allowPositionals: true,
      options: {
        json: { type: "boolean", default: false },
        scale: { type: "string", default: "1" },
        rate: { type: "string", default: "200" },
        sockets: { type: "string", default: "1000" },
        sync: { type: "string" },
        cluster: { type: "string" },
      },
    });
  } catch (error) {
    // Its first sentence; the next ones tell how to pass a file name that looks like a flag.
    const [why] = (error instanceof Error ? error.message : String(error)).split(". ");
    return usage(`${why}.`);
  }
}

const { values, positionals } = readFlags();
const [scenario, ...more] = positionals;
if (scenario === undefined || more.length > 0) usage("Name one scenario.");
if (!Object.hasOwn(scenarios, scenario)) usage(`"${scenario}" is not a scenario.`);
const scale = Number(values.scale);
const perSecond = Number(values.rate);
const sockets = Number(values.sockets);
if (![scale, perSecond, sockets].every((number) => number > 0))
  usage("A flag is not a number above 0.");
const under = syncs.filter((sync): sync is Sync => sync === (values.sync ?? sync));
if (under.length === 0) usage(`"${values.sync}" is none of ${syncs.join(", ")}.`);
if (values.cluster !== undefined) beginWith(values.cluster);

const print = (one: Figure): void => {
  if (values.json) process.stdout.write(`${JSON.stringify(one)}\n`);
  else {
    const beside = one.limit === null ? "" : `   limit ${one.limit}   ratio ${one.ratio ?? ""}`;
    process.stdout.write(
      `${one.figure.padEnd(40)} ${String(one.value).padStart(10)} ${one.unit}${beside}\n`,
    );
  }
};
/** What stands beside the figures for people. */
const say = (line: string): void => {
  if (!values.json) process.stdout.write(`${line}\n`);
};
if (!values.json) {
  process.stdout.write(`${scenario} on ${machine()}\n`);
  process.stdout.write("sync default, and always where a figure says so\n");
}
// What was started is ended when this process ends, but not when a signal just takes it away.
for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) {
  process.once(signal, () => process.exit(1));
}
switch (scenario) {
  case "append":
    await append(print, scale, under);
    break;
  case "commands":
    await commands(print, scale, under);
    break;
  case "cold":
    await cold(print, scale);
    break;
  case "awake":
    await awake(print, scale);
    break;
  case "takeover":
    await takeover(print, scale);
    break;
  case "turns":
    await turns(print, scale, perSecond, under);
    break;
  case "resume":
    await resume(print, scale);
    break;
  case "fanout":
    await fanout(print, scale, sockets);
    break;
  case "http":
    await http(print, scale, say);
    break;
  case "fairness":
    await fairness(print, scale, say);
    break;
  case "rebuild":
    await rebuildScenario(print, scale, say);
    break;
  case "projection-lag":
    await projectionLag(print, scale, say);
    break;
  case "verify":
    await verify(print, scale);
    break;
  default:
    usage(`"${scenario}" is not a scenario.`);
}
process.exit(0);
