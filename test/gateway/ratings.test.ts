/** What readers think of answers, and conversations that nobody in particular owns, over HTTP. */
import { beforeAll, describe, expect, test } from "vitest";
import { systemIds } from "../../schemas/ids.ts";
import { commandPublisher } from "../../streams/queue/commands.ts";
import { secret } from "../streams/system.ts";
import { type Running, startRunning } from "./running.ts";

let running: Running;
beforeAll(async () => {
  running = await startRunning();
  return () => running.stop();
});

const api = "/api/v1/conversations";
type Answer = Awaited<ReturnType<Running["http"]>>;
const coded = ({ status, body }: Answer): unknown[] => [status, body["code"]];

describe("ratings", () => {
  const rated = (id: string, message: string, user: string, body: unknown): Promise<Answer> =>
    running.http("POST", `${api}/${id}/messages/${message}/rating`, { user, body });
  const seen = async (id: string, user: string, at = "messages"): Promise<unknown[]> => {
    const { body } = await running.http("GET", `${api}/${id}/${at}`, { user });
    const messages = body[at === "messages" ? "items" : "messages"];
    return (messages as { rating: unknown }[]).map(({ rating }) => rating); // as PROTOCOL.md
  };

  test("are each reader's own, the last word of each, also in what was", async () => {
    const id = systemIds();
    const ann = await running.connect();
    await ann.ask({ type: "send", conversation: id, text: "rate me" });
    await ann.next("end");
    await running.http("PUT", `${api}/${id}/shares/vi`, { body: { role: "viewer" } });
    const { body } = await running.http("GET", `${api}/${id}/messages`);
    const [question, answer] = (body["items"] as { id: string }[]).map((one) => one.id);
    if (question === undefined || answer === undefined) throw new Error("there are two");
    expect((await rated(id, answer, "vi", { rating: "down", comment: "why?" })).body).toEqual({
      ...{ message: answer, rating: "down" },
    });
    expect((await rated(id, answer, "ann", { rating: "up" })).status).toBe(200);
    expect(await seen(id, "vi")).toEqual([null, "down"]);
    expect(await seen(id, "ann")).toEqual([null, "up"]);
    const { body: now } = await running.http("GET", `${api}/${id}`);
    expect(await seen(id, "vi", `at/${String(now["revision"])}`)).toEqual([null, "down"]);
    expect((await rated(id, answer, "vi", { rating: null })).status).toBe(200);
    expect(await seen(id, "vi")).toEqual([null, null]);
    // What the viewer wrote is for the owner to read.
    const events = async (user: string): Promise<string> =>
      JSON.stringify((await running.http("GET", `${api}/${id}/events?limit=200`, { user })).body);
    expect(await events("ann")).toContain("why?");
    expect(await events("vi")).not.toContain("why?");
    // Nor does another reader learn who rated.
    await running.http("PUT", `${api}/${id}/shares/eve`, { body: { role: "viewer" } });
    const raters = async (user: string): Promise<unknown[]> => {
      const { body } = await running.http("GET", `${api}/${id}/events?limit=200`, { user });
      const items = body["items"] as { type: string; by: { id: string } }[]; // as PROTOCOL.md
      return items.filter(({ type }) => type === "message.rated").map(({ by }) => by.id);
    };
    expect(await raters("ann")).toEqual(["vi", "ann", "vi"]);
    expect(await raters("vi")).toEqual(["vi", "redacted", "vi"]);
    expect(await raters("eve")).toEqual(["redacted", "redacted", "redacted"]);
    await running.http("DELETE", `${api}/${id}/shares/eve`);
    expect(JSON.stringify(ann.frames)).not.toContain("why?");
    expect(coded(await rated(id, answer, "eve", { rating: "up" }))).toEqual([404, "not_found"]);
    expect(coded(await rated(id, question, "ann", { rating: "up" }))).toEqual([
      404,
      "message_not_found",
    ]);
    for (const bad of [{}, { rating: "meh" }, { rating: "up", comment: "x".repeat(2_001) }]) {
      expect(coded(await rated(id, answer, "ann", bad))).toEqual([400, "bad_request"]);
    }
  });
});

describe("what an integration began", () => {
  test("I10: belongs to the tenant's admins, who may share it", async () => {
    const ref = { tenant: "acme", kind: "conversation", id: systemIds() } as const;
    const { streams } = await running.world.system.client();
    await commandPublisher(streams, secret).publish({
      ...{ ref, name: "create", id: systemIds(), data: { title: "Theirs" } },
      ...{ by: { type: "integration", id: "acme" }, reply: null, traceparent: null },
    });
    const one = `${api}/${ref.id}`;
    const admin = { user: "amy", role: "admin" } as const;
    await expect.poll(async () => (await running.http("GET", one, admin)).status).toBe(200);
    expect((await running.http("GET", one, { user: "mia" })).status).toBe(404);
    const put = { ...admin, body: { role: "editor" } };
    expect((await running.http("PUT", `${one}/shares/mia`, put)).status).toBe(200);
    expect((await running.http("GET", one, { user: "mia" })).body["access"]).toBe("editor");
    const named = await running.http("PATCH", one, { ...admin, body: { title: "Ours" } });
    expect(named.body).toMatchObject({ title: "Ours", access: "owner", owner: null });
    expect((await running.http("PATCH", one, { user: "mia", body: { title: "x" } })).status).toBe(
      403,
    );
  });
});
