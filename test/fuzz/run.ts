/**
 * One fuzz run: the whole of Colloquy as one process, attackers over HTTP, WebSocket and bare TCP, and
 * a conversation of somebody else that must go on as if nothing happened. At the end the process
 * lives, has complained of nothing, is ready, and holds no more sockets, files or memory than before.
 */
import { readdirSync, readFileSync } from "node:fs";
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
import { Known } from "./shapes.ts";
import { attackSocket } from "./socket.ts";

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
/** What memory may grow by from the second quarter to the last, caches that fill up included. */
const growth_max = 1.5;
/** Files that may be open more than before: connections of pools that were opened since. */
const files_more_max = 40;
/** What it may say on a machine that has no time for the database. */
const slow = /Projections wait|has not reached the wished sequence/;
const question = "A log is an ordered list of events. What is a log?";

/** What was wrong, each sentence once, and what happened. */
export async function run(options: FuzzOptions): Promise<{ wrong: string[]; summary: string }> {
  const random = randomOf(options.seed);
  const wrong = new Map<string, number>();
  const note = (what: string): void => void wrong.set(what, (wrong.get(what) ?? 0) + 1);
  const counts = new Map<string, number>();
  const provider = await startModelServer();
  const secret = "f".repeat(64);
  const served = await startServe(options.folder, {
    ...without_rates,
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
  tokens.push("", "x.y.z", `${tokens[0] ?? ""}x`, "clq_acme.nobody.nothing", "crt_a.b.c");

  const files = (): number => readdirSync(`/proc/${served.pid}/fd`).length;
  const resident = (): number =>
    Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${served.pid}/status`, "utf8"))?.[1]) * 1_024;
  const filesBefore = files();
  const memory: number[] = [];
  const until = performance.now() + options.minutes * 60_000;
  const over = (): boolean => performance.now() > until || ended !== null;
  let ended: string | null = null;
  const attack = (): Attack => ({
    ...{ url: served.url, random, tokens, over, wrong: note, known },
    count: (what) => void counts.set(what, (counts.get(what) ?? 0) + 1),
  });
  const known = new Known(random);
  const sampling = setInterval(() => {
    try {
      memory.push(resident());
    } catch {
      ended = "the process is gone";
    }
  }, 1_000);

  const many = <T>(count: number, one: () => Promise<T>): Promise<T>[] =>
    Array.from({ length: count }, one);
  const answered = converse();
  await Promise.all([
    ...many(options.attackers, () => attackHttp(attack(), operations)),
    ...many(options.attackers, () => attackSocket(attack())),
    ...many(Math.ceil(options.attackers / 3), () => attackRaw(attack())),
  ]);
  const turns = await answered;
  clearInterval(sampling);

  if (ended !== null) note(ended);
  else await judgeTheRest();
  const code = await served.end("SIGTERM");
  if (code !== 0) note(`it ended with ${code}`);
  for (const line of served.complaints) if (!slow.test(line)) note(`it complained: ${line}`);
  await provider.close();
  const told = [...counts].map(([what, count]) => `${count} ${what}`).join(", ");
  return {
    wrong: [...wrong].map(([what, times]) => (times > 1 ? `${what} (${times} times)` : what)),
    summary: `${told}; ${turns} turns of somebody else; ${grownBy(memory)}`,
  };

  /** Somebody else's conversation, turn after turn; how many were answered. */
  async function converse(): Promise<number> {
    const client = served.client();
    const id = newId();
    const story = openStory((why) => note(`somebody else: ${why}`));
    client.begin(id, story);
    let asked = 0;
    while (!over()) {
      asked += 1;
      await client.send(id, question);
      await story.until(
        ({ frames }) => frames.filter(({ type }) => type === "end").length >= asked,
      );
    }
    client.close();
    return asked;
  }

  async function judgeTheRest(): Promise<void> {
    const health = await fetch(`${served.url}/health`).then(({ status }) => status);
    if (health !== 200) note(`/health answers ${health}`);
    const patience = performance.now() + 30_000;
    const settled = async (what: string, look: () => Promise<boolean>): Promise<void> => {
      while (!(await look())) {
        if (performance.now() > patience) return note(what);
        await new Promise((resolve) => setTimeout(resolve, 100));
      }
    };
    await settled("/ready does not come back", async () => {
      const { status } = await fetch(`${served.url}/ready`);
      return status === 200;
    });
    await settled(`${files()} files are open, ${filesBefore} before`, () =>
      Promise.resolve(files() <= filesBefore + files_more_max),
    );
    const [second, last] = quarters(memory);
    if (last > second * growth_max) note(`memory grew from ${second} to ${last} bytes`);
  }
}

/** The medians of the second and the last quarter. */
function quarters(memory: readonly number[]): readonly [number, number] {
  const middle = (from: number, to: number): number => {
    const part = memory
      .slice(Math.floor(memory.length * from), Math.ceil(memory.length * to))
      .toSorted((a, b) => a - b);
    return part[Math.floor(part.length / 2)] ?? 1;
  };
  return [middle(0.25, 0.5), middle(0.75, 1)];
}

function grownBy(memory: readonly number[]): string {
  const [second, last] = quarters(memory).map((bytes) => Math.round(bytes / 1e6));
  return `memory ${second} MB in the second quarter, ${last} MB in the last`;
}
