/**
 * One fuzz run: the whole of Colloquy as one process, attackers over HTTP, WebSocket and bare TCP, and
 * a conversation of somebody else that must go on as if nothing happened. At the end the process
 * lives, has complained of nothing, is ready, and holds no more sockets, files or memory than before.
 */
import { setTimeout } from "node:timers/promises";
import { operations } from "../../gateway/http/routes.ts";
import { issueAccessToken } from "../../gateway/auth/access-token.ts";
import { openKeyRing } from "../../gateway/auth/key-ring.ts";
import { newId } from "../../web/client.ts";
import { startModelServer } from "../support/model-server.ts";
import { startServe } from "../system/serve.ts";
import { openStory } from "../system/story.ts";
import { randomOf } from "../simulation/random.ts";
import { attackHttp, type Attack } from "./http.ts";
import { attackRaw } from "./raw.ts";
import { inspectable, inspector_words } from "./inside.ts";
import { Known } from "./known.ts";
import { openRemains } from "./remains.ts";
import { attackSocket } from "./socket.ts";
import { openTally } from "./tally.ts";

export interface FuzzOptions {
  readonly seed: number;
  readonly folder: string;
  readonly minutes: number;
  /** Attackers of each sort; of bare TCP a third. */
  readonly attackers: number;
}

/** Nobody is held back by a limit of rates here: they have tests of their own. */
const without_rates = {
  COLLOQUY_COMMANDS_PER_MINUTE: "0",
  COLLOQUY_WS_COMMANDS_PER_MINUTE: "0",
  COLLOQUY_TENANT_COMMANDS_PER_MINUTE: "0",
  COLLOQUY_SIGN_INS_PER_MINUTE: "0",
  COLLOQUY_REFUSED_PER_MINUTE: "0",
  COLLOQUY_HANDSHAKES_PER_MINUTE: "0",
};
/** What it may say on a machine that others have: it is slow, not wrong. */
const slow = /Projections wait|has not reached the wished sequence|stood still|cannot answer now/;
/** What it says last: it then waits only for us to look no more into it. */
const fatal = /this process cannot go on|^Waiting for the debugger/;
const question = "A log is an ordered list of events. What is a log?";

/** What was wrong, each sentence once, and what happened. */
export async function run(options: FuzzOptions): Promise<{ wrong: string[]; summary: string }> {
  const random = randomOf(options.seed);
  const wrong = new Map<string, number>();
  const note = (what: string): void => void wrong.set(what, (wrong.get(what) ?? 0) + 1);
  const tally = openTally();
  const provider = await startModelServer();
  const secret = "f".repeat(64);
  const served = await startServe(options.folder, {
    ...without_rates,
    ...inspectable,
    COLLOQUY_SECRET: secret,
    OPENAI_BASE_URL: provider.url,
    OPENAI_API_KEY: "none",
  });
  const ring = openKeyRing({ secrets: [new TextEncoder().encode(secret)] });
  const people = ["acme", "globex", "main"].flatMap((tenant) =>
    (["viewer", "member", "admin", "owner"] as const).map((role) => ({ tenant, role })),
  );
  const tokens = people.map(({ tenant, role }) =>
    issueAccessToken(ring, { tenant, user: `fuzz-${role}`, role }, 24 * 3_600, Date.now()),
  );
  const spoiltTokens = ["", "x.y.z", `${tokens[0] ?? ""}x`, "clq_acme.nobody.nothing", "crt_a.b.c"];

  const remains = await openRemains(served, options.folder);
  const until = performance.now() + options.minutes * 60_000;
  const over = (): boolean => performance.now() > until || ended !== null;
  let ended: string | null = null;
  const gone = Promise.withResolvers<string>();
  const attack = (): Attack => ({
    ...{ url: served.url, random, tokens, spoiltTokens, over, wrong: note, known, tally },
  });
  const known = new Known(random);
  const sampling = setInterval(() => {
    try {
      remains.sample();
    } catch {
      ended = "the process is gone";
    }
    if (served.complaints.some((line) => fatal.test(line))) ended = "it has ended by itself";
    if (ended !== null) gone.resolve("somebody else was left alone");
  }, 1_000);

  const middle = globalThis.setTimeout(() => void remains.middle(), options.minutes * 20_000);

  const many = <T>(count: number, one: () => Promise<T>): Promise<T>[] =>
    Array.from({ length: count }, one);
  const answered = converse();
  await Promise.all([
    ...many(options.attackers, () => attackHttp(attack(), operations)),
    ...many(options.attackers, () => attackSocket(attack())),
    ...many(Math.ceil(options.attackers / 3), () => attackRaw(attack())),
  ]);
  // Whoever talks to a process that is gone would wait for ever.
  const turns = await Promise.race([answered, gone.promise]);
  clearTimeout(middle);

  // What does not go on answers nothing; why, it has said.
  const unasked = (error: unknown): void => note(`it cannot be asked: ${String(error)}`);
  if (ended === null) await Promise.race([judgeTheRest().catch(unasked), gone.promise]);
  clearInterval(sampling);
  if (ended !== null) note(ended);
  const starved = ended === null && remains.starved();
  // Its servers may be gone with it, and a connection would wait for them.
  await Promise.race([remains.close(), setTimeout(5_000)]);
  const code = await served.end("SIGTERM");
  if (code !== 0) note(`it ended with ${code}`);
  for (const line of served.complaints) {
    if (inspector_words.test(line) || (starved && slow.test(line))) continue;
    note(`it complained: ${line.slice(25)}`);
  }
  await provider.close();
  const told = [turns, remains.told(), ...tally.lines(operations)];
  if (starved) told.unshift("others had the machine most of the time");
  return {
    wrong: [...wrong].map(([what, times]) => (times > 1 ? `${what} (${times} times)` : what)),
    summary: told.join("\n"),
  };

  /** Somebody else's conversation, turn after turn; how many were answered, and how soon. */
  async function converse(): Promise<string> {
    // Nobody whom the attackers may be: the page signs them in as its visitor.
    const client = served.client("elsewhere", "somebody");
    const id = newId();
    const story = openStory((why) => note(`somebody else: ${why}`));
    client.begin(id, story);
    const times_ms: number[] = [];
    while (!over()) {
      const began = performance.now();
      await client.send(id, question);
      await story.until(
        ({ frames }) => frames.filter(({ type }) => type === "end").length > times_ms.length,
      );
      times_ms.push(performance.now() - began);
    }
    client.close();
    const sorted = times_ms.toSorted((a, b) => a - b).map(Math.round);
    const [middle, last] = [sorted[Math.floor(sorted.length / 2)], sorted.at(-1)];
    return `${sorted.length} turns of somebody else, half within ${middle} ms, all within ${last} ms`;
  }

  async function judgeTheRest(): Promise<void> {
    const health = await fetch(`${served.url}/health`).then(({ status }) => status);
    if (health !== 200) note(`/health answers ${health}`);
    const patience = performance.now() + 30_000;
    while ((await fetch(`${served.url}/ready`)).status !== 200) {
      if (performance.now() > patience) return note("/ready does not come back");
      await setTimeout(100);
    }
    for (const left of await remains.judge()) note(left);
  }
}
