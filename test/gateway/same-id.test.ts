/** A command's id is unique to its conversation: elsewhere the same one is another command (I2, I10). */
import { beforeAll, expect, test } from "vitest";
import { systemIds } from "../../schemas/ids.ts";
import { type Running, startRunning } from "./running.ts";

let running: Running;
beforeAll(async () => {
  running = await startRunning();
  return () => running.stop();
});

test("I10: the same id on its way for another tenant or conversation is acked on its own", async () => {
  const conversation = systemIds();
  const [acme, zeta] = await Promise.all([
    running.connect({ tenant: "acme" }),
    running.connect({ tenant: "zeta" }),
  ]);
  const id = systemIds();
  const say = (text: string, where = conversation) => ({
    ...{ type: "send", id, conversation: where, text },
  });
  const elsewhere = systemIds();
  const answers = await Promise.all([
    acme.ask(say("acme's [[tokens:2]]")),
    zeta.ask(say("zeta's [[tokens:2]]")),
    running.http("POST", `/api/v1/conversations/${elsewhere}/messages`, {
      ...{ body: { id, text: "elsewhere [[tokens:2]]" }, tenant: "acme" },
    }),
  ]);
  expect(answers).toMatchObject([
    { type: "ack", id, conversation },
    { type: "ack", id, conversation },
    { status: 202, body: { message: id, conversation: elsewhere } },
  ]);
  const places = [answers[0], answers[1], answers[2].body].map((answer) =>
    "seq" in answer ? answer.seq : null,
  );
  expect(new Set(places).size).toBe(3);
  await Promise.all([acme.next("end"), zeta.next("end")]);
  for (const [tenant, where, text] of [
    ["acme", conversation, "acme's [[tokens:2]]"],
    ["zeta", conversation, "zeta's [[tokens:2]]"],
    ["acme", elsewhere, "elsewhere [[tokens:2]]"],
  ] as const) {
    const { body } = await running.http("GET", `/api/v1/conversations/${where}/messages`, {
      tenant,
    });
    expect(body["items"]).toMatchObject([{ id, text }, {}]);
  }
});

test("I2: the same id by somebody else, on its way to the same conversation, is refused", async () => {
  const [ann, eve] = await Promise.all([
    running.connect({ user: "ann" }),
    running.connect({ user: "eve" }),
  ]);
  const [conversation, id] = [systemIds(), systemIds()];
  const [mine, hers] = await Promise.all([
    ann.ask({ type: "send", id, conversation, text: "mine [[tokens:2]]" }),
    eve.ask({ type: "send", id, conversation, text: "hers [[tokens:2]]" }),
  ]);
  // Whoever came first; never both, and never the other's words.
  expect([mine.type, hers.type].sort()).toEqual(["ack", "nack"]);
  const winner = mine.type === "ack" ? "ann" : "eve";
  await (winner === "ann" ? ann : eve).next("end");
  const { body } = await running.http("GET", `/api/v1/conversations/${conversation}/messages`, {
    user: winner,
  });
  expect(body["items"]).toMatchObject([{ id, text: expect.stringMatching(/^(mine|hers) /) }, {}]);
});
