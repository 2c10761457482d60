/** What was used and what it cost, over HTTP: exact, by day and model, and nobody else's. */
import { beforeAll, expect, test } from "vitest";
import type { UsageList } from "../../schemas/usage.ts";
import { systemIds } from "../../schemas/ids.ts";
import { type Running, startRunning } from "./running.ts";

let running: Running;
beforeAll(async () => {
  running = await startRunning();
  return () => running.stop();
});

const path = "/api/v1/usage";
const used = async (user: string, query = "", more: object = {}): Promise<UsageList> => {
  const { status, body } = await running.http("GET", `${path}${query}`, { user, ...more });
  expect([status, body["code"]]).toEqual([200, undefined]);
  return body as object as UsageList; // PROTOCOL.md
};

/** Turns of a new conversation; the sequence behind them and what they used by their `end` frames. */
async function talk(
  user: string,
  turns: number,
  tenant = "acme",
): Promise<{ tokensOut: number; seq: string }> {
  const client = await running.connect({ user, tenant });
  const conversation = systemIds();
  let tokensOut = 0;
  for (let turn = 0; turn < turns; turn++) {
    await client.ask({ type: "send", conversation, text: "count me" });
    tokensOut += (await client.next("end")).usage.tokensOut;
  }
  client.end();
  const { log } = await running.world.system.client();
  return { tokensOut, seq: `${await log.lastSequence()}` };
}

test("I10: I12: everybody sees his own, admins the tenant's, each to the token", async () => {
  const one = await talk("one", 2);
  const other = await talk("other", 1);
  const { seq } = await talk("one", 1, "elsewhere");
  const headers = { "x-colloquy-seq": seq };
  const mine = await used("one", "", { headers });
  expect(mine.total.calls).toBeGreaterThanOrEqual(2);
  expect(mine.total.tokensOut).toBe(one.tokensOut);
  expect(mine.total.costUsd).toMatch(/^\d+(\.\d+)?$/);
  expect(mine.items.every(({ day }) => /^\d{4}-\d\d-\d\d$/.test(day))).toBe(true);
  const tenant = await used("boss", "?of=tenant", { headers, role: "admin" });
  expect(tenant.total.tokensOut).toBe(one.tokensOut + other.tokensOut);
  expect(tenant.total.calls).toBe(mine.total.calls + (await used("other")).total.calls);
  const refused = await running.http("GET", `${path}?of=tenant`, { user: "one" });
  expect([refused.status, refused.body["code"]]).toEqual([403, "forbidden"]);
  expect(await used("nobody")).toEqual({
    ...{ items: [], next: null },
    total: { calls: 0, tokensIn: 0, tokensOut: 0, costUsd: "0" },
  });

  const [item] = mine.items;
  expect((await used("one", `?model=${item?.model ?? ""}`)).total).toEqual(mine.total);
  for (const none of ["?model=none", "?to=2020-01-01", "?from=2999-01-01"]) {
    expect((await used("one", none)).items, none).toEqual([]);
  }
  for (const wrong of ["?of=all", "?model=", "?from=yesterday", "?cursor=x", "?limit=0"]) {
    const answer = await running.http("GET", `${path}${wrong}`, { user: "one" });
    expect([wrong, answer.status]).toEqual([wrong, 400]);
  }
});

test("the models are those that a message may ask for", async () => {
  const { status, body } = await running.http("GET", "/api/v1/models", { role: "viewer" });
  expect([status, body]).toEqual([
    ...[200, { items: [{ id: "scripted", provider: "openai-compatible" }], next: null }],
  ]);
});
