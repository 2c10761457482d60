/**
 * What happens in a run: who asks what of which conversation and when, and what befalls the workers.
 * At the end all troubles cease, and everything has to come to rest.
 */
import type { NamedCommand } from "../../schemas/commands.ts";
import type { Commit } from "../../schemas/commit.ts";
import { type ActorRef, type By, refKey, workspaceRef } from "../../schemas/ids.ts";
import { limits } from "../../schemas/limits.ts";
import { violationsOf } from "./checks.ts";
import { type Random, randomOf } from "./random.ts";
import { createWorld, no_troubles, type Troubles, type World } from "./world.ts";

export interface Outcome {
  readonly violations: readonly string[];
  readonly world: World;
}

/** Something that happens at most so often in a run, at any moment of it. */
interface Blow {
  left: number;
  readonly share: number;
  strike(): void;
}

/** One conversation under the same id in another tenant, one under another. */
const refs: readonly ActorRef[] = [
  { tenant: "acme", kind: "conversation", id: "0192a000-0000-7000-8000-000000000001" },
  { tenant: "globex", kind: "conversation", id: "0192a000-0000-7000-8000-000000000001" },
  { tenant: "acme", kind: "conversation", id: "0192a000-0000-7000-8000-000000000002" },
];
/** From this seed on there are workspaces, too: so that the runs of smaller ones stay what they were. */
const workspaces_from = 1_000_000;
const workspaces = [workspaceRef("acme"), workspaceRef("globex")];
const operator: By = { type: "system", id: "operator" };
/** Ten minutes: more than every turn of a run may take, one after the other. */
const patience_ms = 600_000;
/** Enough for every effect that nobody waits for any more to be noticed. */
const aftermath_ms = 20_000;

/** Runs a seed to its end. */
export async function runSeed(seed: number, trace?: (line: string) => void): Promise<Outcome> {
  const random = randomOf(seed);
  const calm = random.chance(0.15);
  const troubles: Troubles = calm
    ? no_troubles
    : {
        lost: random.pick([0, 0, 0.01, 0.05, 0.15]) ?? 0,
        late: random.pick([0, 0.02, 0.1]) ?? 0,
        failing: random.pick([0, 0.15]) ?? 0,
      };
  const world = createWorld(random, troubles, trace);
  for (let left = random.between(1, 3); left > 0; left--) world.start();
  const blows = calm || random.chance(0.1) ? [] : blowsOf(world, random);
  const asked = schedulePublishes(world, random, seed >= workspaces_from ? 0.4 : 0);
  await run(world, random, blows, asked.end_ms);
  const stuck = await comeToRest(world);
  return { world, violations: [...stuck, ...violationsOf(world, calm)] };
}

/** Runs until `end_ms`; blows strike at random moments. */
async function run(
  { schedule }: World,
  random: Random,
  blows: readonly Blow[],
  end_ms: number,
): Promise<void> {
  while (schedule.now() < end_ms && (await schedule.next())) {
    for (const blow of blows) {
      if (blow.left === 0 || !random.chance(blow.share)) continue;
      blow.left -= 1;
      blow.strike();
    }
  }
}

/** Lets everything come to rest without further troubles; says what does not. */
export async function comeToRest(world: World): Promise<string[]> {
  const { schedule, messages } = world;
  const open = () => messages.filter(({ state }) => state === "open");
  world.calm();
  if (world.workers.length === 0) world.start();
  const over_ms = schedule.now() + patience_ms;
  while (open().length > 0) {
    if (schedule.now() < over_ms && (await schedule.next())) continue;
    return [
      `I1: still open: ${open()
        .map(({ command }) => command.name)
        .join(" ")}`,
    ];
  }
  const rest_ms = schedule.now() + aftermath_ms;
  while (schedule.now() < rest_ms && (await schedule.next()));
  return [];
}

function blowsOf(world: World, random: Random): Blow[] {
  const some = (): World["workers"][number] | undefined => random.pick(world.workers);
  const replace = (): void => {
    world.schedule.after(random.between(0, 6_000), null, "a worker joins", () => world.start());
  };
  return [
    {
      left: random.between(0, 3),
      share: 1 / 400,
      strike() {
        const victim = some();
        if (victim === undefined) return;
        victim.crash();
        replace();
      },
    },
    {
      left: random.between(0, 3),
      share: 1 / 300,
      strike: () => some()?.pause(random.between(200, 9_000)),
    },
    {
      left: random.between(0, 2),
      share: 1 / 400,
      strike() {
        const leaving = some();
        if (leaving === undefined) return;
        void leaving.drain(random.between(0, 8_000));
        replace();
      },
    },
    { left: random.between(0, 4), share: 1 / 200, strike: () => world.unpin(random.between(0, 9)) },
  ];
}

/** Publishes commands at random moments; some of them again, some under an id that was used. */
function schedulePublishes(
  world: World,
  random: Random,
  workspaces_share: number,
): { readonly end_ms: number } {
  const used: [ActorRef, NamedCommand, string][] = [];
  let at_ms = random.between(0, 3_000);
  for (let left = random.between(6, 22); left > 0; left--) {
    world.schedule.after(at_ms, null, "somebody asks", () => {
      const anchoring = workspaces_share > 0 && random.chance(workspaces_share);
      const ref = anchoring
        ? random.pick(workspaces)
        : random.chance(0.6)
          ? refs[0]
          : random.pick(refs);
      const again = random.pick(used);
      if (ref === undefined) return;
      let asked: [ActorRef, NamedCommand, string] = [
        ref,
        anchoring
          ? nextOfWorkspace(random, world.stored.commits(ref))
          : nextCommand(random, world.stored.commits(ref)),
        world.ids(),
      ];
      // The very same again; or its id for another conversation, which is another command.
      if (again !== undefined && random.chance(0.12)) asked = again;
      else if (
        again !== undefined &&
        random.chance(0.03) &&
        again[0].kind === ref.kind &&
        refKey(again[0]) !== refKey(ref)
      ) {
        asked = [ref, again[1], again[2]];
      }
      used.push(asked);
      if (asked[0].kind === "workspace") world.publish(...asked, operator);
      else world.publish(...asked);
    });
    // Now and then long enough for an idle actor to leave memory.
    const rest = random.chance(0.04);
    at_ms += rest ? limits.actor_idle_ms * 1.6 : random.between(0, 2_500);
  }
  return { end_ms: at_ms };
}

/** What the system may ask of a workspace: the next anchor, one that comes too late, an export. */
function nextOfWorkspace(random: Random, commits: readonly Commit[]): NamedCommand {
  const anchors = commits.flatMap(({ events }) =>
    events.flatMap(({ type, data }) => (type === "chain.anchored" ? [data.sequence] : [])),
  );
  const late = random.chance(0.2);
  const from = ((late ? random.pick(anchors) : anchors.at(-1)) ?? 0) + 1;
  const sequence = from + random.between(0, 3);
  if (random.chance(0.15)) {
    return {
      name: "record-export",
      data: { operator: "ann", from: 1, to: sequence, commits: 1, keys: false },
    };
  }
  const root = random.between(0, 9).toString().repeat(64);
  return { name: "anchor", data: { root, chains: 1, commits: 1, from, sequence, settled: 0 } };
}

/** A command that somebody may send next, given what the conversation holds by now. */
function nextCommand(random: Random, commits: readonly Commit[]): NamedCommand {
  const events = commits.flatMap((commit) => commit.events);
  const user = random.pick(
    events.flatMap(({ type, data }) => (type === "message.added" ? [data.message] : [])),
  );
  const answer = random.pick(
    events.flatMap(({ type, data }) => (type === "turn.started" ? [data.message] : [])),
  );
  const turn = random.pick(
    events.flatMap(({ type, data }) => (type === "turn.queued" ? [data.turn] : [])),
  );
  const overlap =
    random.pick(["queue", "queue", "interrupt", "merge", "reject"] as const) ?? "queue";
  const roll = random.share();
  if (roll < 0.5 || user === undefined) return { name: "send", data: { text: "hello", overlap } };
  if (roll < 0.58) return { name: "edit", data: { message: user, text: "better", overlap } };
  if (roll < 0.66 && answer !== undefined) {
    return { name: "regenerate", data: { message: answer, overlap } };
  }
  if (roll < 0.78) {
    return { name: "cancel", data: turn !== undefined && random.chance(0.5) ? { turn } : {} };
  }
  if (roll < 0.86) return { name: "update", data: { title: "t", head: user } };
  if (roll < 0.92) return { name: "update", data: { archived: random.chance(0.5) } };
  if (roll < 0.93) return { name: "delete", data: {} };
  return { name: "create", data: {} };
}
