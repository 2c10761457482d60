/** What each may ask for unless an operator says otherwise: numbers that people plan with. */
import { expect, test } from "vitest";
import { default_rates, rateTable } from "../../schemas/rates.ts";

test("a user, his key and his address have the limits that were promised", () => {
  const {
    command,
    "ws-command": frames,
    cancel,
    subscribe,
    connect,
    read,
  } = rateTable(default_rates);
  const window = (limit: number) => ({ kind: "window", limit, period_ms: 60_000 });
  expect([command.user, command.key, command.ip]).toEqual([100, 100, 1_000].map(window));
  expect([frames.user, frames.key, frames.ip]).toEqual([600, 600, 6_000].map(window));
  expect([connect.user, connect.ip]).toEqual([6_000, 6_000].map(window));
  expect([default_rates.connectionsPerUser, default_rates.connectionsPerIp]).toEqual([
    1_000, 20_000,
  ]);
  // Whoever may begin so much may end it, and follow it, sooner than he may begin more.
  for (const { user } of [cancel, subscribe]) {
    expect(user?.limit).toBeGreaterThan(frames.user?.limit ?? Number.POSITIVE_INFINITY);
  }
  expect(read).toEqual({ ...read, user: null, key: null, tenant: null, ip: null });
  const off = rateTable({ ...default_rates, commands: 0, wsCommands: 7 });
  expect([off.command.user, off.command.ip, off["ws-command"].ip?.limit]).toEqual([null, null, 70]);
});
