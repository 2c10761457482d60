/**
 * Commands that cannot be handled, on a real nats-server: they end in the dead letters after four
 * deliveries, hold nobody up, and take effect once when they are sent again (I1, I2).
 */
import { afterEach, beforeEach, expect, test } from "vitest";
import type { LogPort } from "../../actors/ports.ts";
import { AppError } from "../../schemas/errors.ts";
import { systemIds } from "../../schemas/ids.ts";
import { limits } from "../../schemas/limits.ts";
import { dropLetter, type Letter, readLetters, resend } from "../../streams/queue/letters.ts";
import { startWorld, type World } from "./worker.ts";

let world: World;
beforeEach(async () => {
  world = await startWorld();
});
afterEach(() => world.stop());

/** A log that fails for some commands, and when it was asked. */
function failing(error: () => Error | null): {
  readonly asked: Map<string, number[]>;
  readonly around: (own: LogPort) => LogPort;
  readonly cursed: Set<string>;
} {
  const asked = new Map<string, number[]>();
  const cursed = new Set<string>();
  return {
    asked,
    cursed,
    around: (own) => ({
      end: (ref, begins) => own.end(ref, begins),
      read: (ref, after, end) => own.read(ref, after, end),
      async append(draft, head) {
        asked.set(draft.command, [...(asked.get(draft.command) ?? []), Date.now()]);
        const problem = cursed.has(draft.command) ? error() : null;
        if (problem !== null) throw problem;
        return own.append(draft, head);
      },
    }),
  };
}
const broken = (): Error => new TypeError("this append always fails");

async function letters(): Promise<Letter[]> {
  const found: Letter[] = [];
  for await (const { letter } of readLetters(world.system.streams, null)) found.push(letter);
  return found;
}
/** Commands that are not done; timers that are set lie in the same stream. */
const waiting = async (): Promise<number> => {
  const filter = { subjects_filter: "cmd.>" };
  const { state } = await world.system.streams.jsm.streams.info("COMMANDS", filter);
  return Object.keys(state.subjects ?? {}).length;
};
/** Sent again by an operator, who waits for the answer. */
const again = (letter: Letter) =>
  resend(world.system.streams, letter, { inbox: systemIds(), wait_ms: limits.command_answer_ms });

test("I1: a command that always fails is dead after four deliveries with growing waits, and its sender is told", async () => {
  const { asked, around, cursed } = failing(broken);
  const worker = await world.worker({ log: around });
  const [talk, other] = [await world.talk(), await world.talk()];
  const id = systemIds();
  cursed.add(id);
  const dying = talk.command("send", { text: "poison, as it was" }, id);
  await expect.poll(() => asked.get(id)?.length).toBe(1);
  // Its actor and the others go on in the meantime.
  expect(await talk.command("send", { text: "I am well" })).toMatchObject({ ok: true });
  expect(await other.command("send", { text: "so am I" })).toMatchObject({ ok: true });
  expect(await dying).toMatchObject({ ok: false, error: { code: "command_dead" } });

  const times = asked.get(id) ?? [];
  expect(times).toHaveLength(limits.deliveries_max);
  const waits = times.slice(1).map((time, at) => time - (times[at] ?? 0));
  for (const [at, wait] of waits.entries()) {
    expect(wait).toBeGreaterThanOrEqual((limits.redelivery_ms[at] ?? 0) - 20);
  }
  const [letter, ...more] = await letters();
  expect(more).toEqual([]);
  expect(letter).toMatchObject({
    ...{ ref: talk.ref, name: "send", command: id, code: "command_dead", deliveries: 4 },
    ...{ reason: "TypeError: this append always fails", stuck: null },
  });
  expect(JSON.parse(Buffer.from(letter?.payload ?? []).toString())).toEqual({
    id,
    data: { text: "poison, as it was" },
  });
  expect(Date.parse(letter?.stored?.at ?? "")).toBeLessThanOrEqual(times[0] ?? 0);
  await talk.event("turn.completed");
  await other.event("turn.completed");
  await expect.poll(waiting).toBe(0);
  expect(worker.problems).toHaveLength(limits.deliveries_max);
  expect((await talk.log()).filter(({ type }) => type === "message.added")).toHaveLength(1);
});

test("I2: sent again it takes effect once, under its own id and by its own sender", async () => {
  const { around, cursed } = failing(broken);
  await world.worker({ log: around });
  const talk = await world.talk();
  const id = systemIds();
  cursed.add(id);
  await talk.command("send", { text: "at last" }, id);
  const [letter] = await letters();
  if (letter === undefined) throw new Error("no letter");
  cursed.clear();

  const reply = await again(letter);
  expect(reply).toMatchObject({ command: id, ok: true, revision: 3 });
  expect(await letters()).toEqual([]);
  await talk.event("turn.completed");
  // Two operators had the same letter in hand, and a client repeats its own: one effect, one answer.
  expect(await again(letter)).toEqual(reply);
  expect(await talk.command("send", { text: "at last" }, id)).toEqual(reply);
  expect(talk.commits.find(({ command }) => command === id)?.by).toEqual({
    ...{ type: "user", id: "ann" },
  });
  expect((await talk.log()).filter(({ type }) => type === "message.added")).toHaveLength(1);
  expect(world.provider.requests).toHaveLength(1);
  await expect.poll(waiting).toBe(0);
});

test("I1: one that fails again after it was sent again lies there again, once", async () => {
  const { asked, around, cursed } = failing(broken);
  await world.worker({ log: around });
  const talk = await world.talk();
  const id = systemIds();
  cursed.add(id);
  await talk.command("create", {}, id);
  const [letter] = await letters();
  if (letter === undefined) throw new Error("no letter");
  expect(await again(letter)).toMatchObject({ ok: false, error: { code: "command_dead" } });
  expect(asked.get(id)).toHaveLength(2 * limits.deliveries_max);
  const found = await letters();
  expect(found.map(({ command }) => command)).toEqual([id]);
  expect(found[0]?.sequence).toBeGreaterThan(letter.sequence);
  await dropLetter(world.system.streams, found[0]?.sequence ?? 0);
  expect(await letters()).toEqual([]);
});

test("I1: deliveries are counted across owners", async () => {
  const { asked, around, cursed } = failing(broken);
  const first = await world.worker({ log: around });
  const talk = await world.talk();
  const id = systemIds();
  cursed.add(id);
  const dying = talk.command("send", { text: "from hand to hand" }, id);
  await expect.poll(() => asked.get(id)?.length).toBe(2);
  await first.crash();
  await world.worker({ log: around });
  expect(await dying).toMatchObject({ ok: false, error: { code: "command_dead" } });
  // One that was on its way to the dead worker counts, too.
  expect(asked.get(id)?.length).toBeLessThanOrEqual(limits.deliveries_max);
  const [letter] = await letters();
  expect(letter?.deliveries).toBeGreaterThanOrEqual(limits.deliveries_max);
});

test("I1: a log that is away for long kills nothing: commands wait in their place, in their order", async () => {
  let away = true;
  const { asked, around, cursed } = failing(() => (away ? new AppError("unavailable") : null));
  const worker = await world.worker({ log: around });
  const talk = await world.talk();
  const id = systemIds();
  cursed.add(id);
  const first = talk.command("send", { text: "first [[tokens:2]]" }, id);
  await expect.poll(() => asked.get(id)?.length).toBe(1);
  const second = talk.command("send", { text: "second" });
  await expect.poll(() => asked.get(id)?.length).toBeGreaterThan(limits.deliveries_max);
  away = false;
  expect(await first).toMatchObject({ ok: true, revision: 3 });
  expect(await second).toMatchObject({ ok: true });
  await talk.event("turn.completed");
  await talk.event("turn.completed");
  const { body } = await world.provider.whenRequest(2);
  expect(body.messages.map(({ content }) => content)).toMatchObject([
    "first [[tokens:2]]",
    {},
    "second",
  ]);
  expect(await letters()).toEqual([]);
  expect(worker.problems).toEqual([expect.stringContaining("an actor waits")]);
});

test("a refusal is an answer, not a failure: it is given once and nothing lies in the dead letters", async () => {
  const worker = await world.worker();
  const talk = await world.talk();
  await talk.command("create", {});
  const refused = await talk.command("edit", { message: systemIds(), text: "what?" });
  expect(refused).toMatchObject({ ok: false, error: { code: "message_not_found" } });
  await expect.poll(waiting).toBe(0);
  expect(await letters()).toEqual([]);
  expect(worker.problems).toEqual([]);
});
