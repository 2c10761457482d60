/** The order on the one connection of PGlite. */
import { expect, test } from "vitest";
import { ReadsFirst } from "../../projections/reads-first.ts";

/** Enters jobs by name ("r…" is a read); each ends when the scene says so. */
function scene() {
  const order = new ReadsFirst();
  const begun: string[] = [];
  let leave: (() => void) | null = null;
  const ask = (name: string): void => {
    void order.enter(name.startsWith("r") ? "read" : "transaction").then((left) => {
      expect(leave, `${name} begins while another is there`).toBe(null);
      begun.push(name);
      leave = left;
    });
  };
  const settled = (): Promise<void> => new Promise((resolve) => void setImmediate(resolve));
  return {
    ask,
    begun,
    order,
    settled,
    /** The one that is there ends; resolves when the next has begun. */
    async end(): Promise<void> {
      await settled();
      const left = leave;
      leave = null;
      left?.();
      await settled();
    },
  };
}

test("I10: a read goes before the transactions that a batch of commits has brought", async () => {
  const { ask, begun, end, order } = scene();
  for (let n = 1; n <= 9; n++) ask(`t${n}`);
  ask("r1");
  await end();
  expect(begun).toEqual(["t1", "r1"]);
  expect(order.waiting).toBe(8);
  while (order.waiting > 0) await end();
  expect(begun.slice(2)).toEqual(["t2", "t3", "t4", "t5", "t6", "t7", "t8", "t9"]);
});

test("I9: whoever reads without end does not keep read models from moving", async () => {
  const { ask, begun, end, order } = scene();
  for (let n = 1; n <= 30; n++) ask(`r${n}`);
  ask("t1");
  ask("t2");
  for (let n = 31; order.waiting > 0 && n < 60; n++) {
    ask(`r${n}`);
    await end();
  }
  const [first, second] = [begun.indexOf("t1"), begun.indexOf("t2")];
  // The one that was there already, and four.
  expect(first).toBe(5);
  expect(second).toBe(10);
});
