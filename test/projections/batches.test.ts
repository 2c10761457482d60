/** How long commits gather: shorter while somebody waits to read them. */
import { expect, test } from "vitest";
import { gather, openWanted } from "../../projections/batches.ts";
import { limits } from "../../schemas/limits.ts";
import { steppedClock } from "../actors/stepped-clock.ts";
import { randomHistory } from "./history.ts";
import { logOf } from "./memory-log.ts";

const turn = (): Promise<void> => new Promise((resolve) => void setImmediate(resolve));

test("commits that nobody waits for gather; one that somebody waits for goes at once", async () => {
  const history = randomHistory(5, 8);
  const log = logOf(history.slice(0, 1));
  const clock = steppedClock();
  const wanted = openWanted();
  const stopping = new AbortController();
  const reading = log.read({ after: 0, signal: stopping.signal });
  const batches: number[] = [];
  const over = (async () => {
    for await (const batch of gather(reading, clock, { wanted })) batches.push(batch.length);
  })();
  const pass = async (ms: number): Promise<readonly number[]> => {
    clock.step(ms);
    await turn();
    return batches;
  };
  let behind = 1;
  const come = async (): Promise<void> => {
    await turn();
    log.append(history.slice(behind, ++behind));
    await turn();
  };
  const { batch_ms, batch_unread_ms } = limits;
  await come();
  expect(await pass(batch_unread_ms - 1)).toEqual([]);
  await come();
  expect(await pass(1)).toEqual([3]);
  // Of what was read before nobody waits any more.
  await come();
  wanted.want(3);
  expect(await pass(batch_ms)).toEqual([3]);
  wanted.want(4);
  expect(await pass(batch_ms - 1)).toEqual([3]);
  expect(await pass(1)).toEqual([3, 1]);
  // Two are wanted before they come, and behind them none.
  wanted.want(6);
  for (const expected of [
    [3, 1, 1],
    [3, 1, 1, 1],
    [3, 1, 1, 1],
  ]) {
    await come();
    expect(await pass(batch_ms)).toEqual(expected);
  }
  stopping.abort();
  await over;
});
