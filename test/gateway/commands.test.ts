/** Commands in flight: as many as may be, of all and of one tenant. */
import { expect, test } from "vitest";
import { Commands } from "../../gateway/commands.ts";
import { systemIds } from "../../schemas/ids.ts";
import { limits } from "../../schemas/limits.ts";

test("I10: one tenant's unanswered commands leave room for another's, also when it came alone", async () => {
  const replies: (() => void)[] = [];
  const commands = new Commands(
    {
      replySubject: () => "reply",
      onReply(_ref, id, call) {
        replies.push(() => call({ command: id, ok: true, revision: 1, sequence: 1 }));
        return () => undefined;
      },
    },
    { publish: () => Promise.resolve() },
    { now: () => 0, after: () => () => undefined },
  );
  const send = (tenant: string): Promise<string> =>
    new Promise((resolve) => {
      const ref = { tenant, kind: "conversation" as const, id: systemIds() };
      const request = { ref, name: "create", id: systemIds(), data: {}, traceparent: null };
      const by = { type: "user" as const, id: "you" };
      commands.run({ ...request, by }, (outcome) =>
        resolve(outcome.ok ? "ok" : outcome.error.code),
      );
    });
  const most = limits.commands_in_flight_per_tenant_max;
  const flood = Array.from({ length: most }, () => send("acme"));
  expect(commands.inFlight).toBe(most);
  const refused = send("acme");
  expect(commands.inFlight).toBe(most);
  expect(await refused).toBe("tenant_busy");
  const other = send("globex");
  expect(commands.inFlight).toBe(most + 1);
  // Answered, they give their places back.
  for (const reply of replies) reply();
  expect(new Set(await Promise.all([...flood, other]))).toEqual(new Set(["ok"]));
  expect(commands.inFlight).toBe(0);
  const again = send("acme");
  replies.at(-1)?.();
  expect(await again).toBe("ok");
});

test("I1: a command that was never published is not called unanswered", async () => {
  const timers: (() => void)[] = [];
  const published: string[] = [];
  const commands = new Commands(
    { replySubject: () => "reply", onReply: () => () => undefined },
    { publish: ({ id }) => (published.push(id), Promise.resolve()) },
    {
      now: () => 0,
      after: (ms, call) => {
        if (ms === limits.command_answer_ms) timers.push(call);
        return () => undefined;
      },
    },
  );
  const send = (tenant: string): Promise<string> =>
    new Promise((resolve) => {
      const ref = { tenant, kind: "conversation" as const, id: systemIds() };
      const request = { ref, name: "create", id: systemIds(), data: {}, traceparent: null };
      commands.run({ ...request, by: { type: "user", id: "you" } }, (outcome) =>
        resolve(outcome.ok ? "ok" : outcome.error.code),
      );
    });
  const quiet = send("globex");
  const flood = Array.from({ length: 20 }, () => send("acme"));
  const there = published.length - 1;
  expect(commands.waiting).toBe(20 - there);
  // The last first, so that no place is given to one that has waited too long as well.
  for (const timer of timers.toReversed()) timer();
  expect(await quiet).toBe("command_unanswered");
  const codes = await Promise.all(flood);
  expect(codes.filter((code) => code === "command_unanswered")).toHaveLength(there);
  expect(codes.filter((code) => code === "tenant_busy")).toHaveLength(20 - there);
  expect(published).toHaveLength(1 + there);
  expect(commands.waiting).toBe(0);
});
