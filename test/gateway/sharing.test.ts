/** A conversation of several people: on two gateways of one system, as clients see it. */
import { beforeAll, describe, expect, test } from "vitest";
import type { Gateway } from "../../gateway/server.ts";
import { systemIds } from "../../schemas/ids.ts";
import { limits } from "../../schemas/limits.ts";
import { commandPublisher } from "../../streams/queue/commands.ts";
import { secret } from "../streams/system.ts";
import type { Foreign } from "./foreign.ts";
import { type Running, startRunning } from "./running.ts";

let running: Running;
let other: Gateway;
beforeAll(async () => {
  running = await startRunning();
  other = await running.another();
  return () => running.stop();
});

const api = "/api/v1/conversations";
type Answer = Awaited<ReturnType<Running["http"]>>;
const coded = ({ status, body }: Answer): unknown[] => [status, body["code"]];
/** How far a list must have come to show what was asked for here. */
let told = "0";
async function noted(answer: Promise<Answer>): Promise<Answer> {
  told = (await answer).headers.get("x-colloquy-seq") ?? told;
  return answer;
}
const share = (id: string, user: string, role: string, by = "ann"): Promise<Answer> =>
  noted(running.http("PUT", `${api}/${id}/shares/${user}`, { user: by, body: { role } }));
const unshare = (id: string, user: string, by = "ann"): Promise<Answer> =>
  noted(running.http("DELETE", `${api}/${id}/shares/${user}`, { user: by }));
const listed = async (user: string, more = ""): Promise<unknown[]> => {
  const headers = { "x-colloquy-seq": told };
  const { body } = await running.http("GET", `${api}?limit=200${more}`, { user, headers });
  // As PROTOCOL.md.
  return (body["items"] as { id: string; access: string }[]).map(({ id, access }) => [id, access]);
};
async function begun(user = "ann"): Promise<string> {
  const { body } = await running.http("POST", api, { user, body: { title: "Ours" } });
  return String(body["id"]);
}
/** The answer's id and its turn, once it is being written. */
async function asked(client: Foreign, conversation: string, text: string): Promise<string> {
  expect(await client.ask({ type: "send", conversation, text })).toMatchObject({ type: "ack" });
  const frame = await client.next(
    (one) => one.type === "event" && one.event.type === "turn.started",
  );
  return frame.type === "event" ? String(frame.event["turn"]) : "";
}
const ending = (conversation: string) => (frame: { type: string; conversation?: unknown }) =>
  frame.type === "end" && frame.conversation === conversation;

describe("a shared conversation", () => {
  test("I5: everybody and every device sees the same turn, whoever asked for it, on both gateways", async () => {
    const id = await begun();
    await share(id, "ed", "editor");
    await share(id, "vi", "viewer");
    const clients = await Promise.all([
      running.connect({ user: "ann" }),
      running.connect({ user: "ann", at: other }),
      running.connect({ user: "ed" }),
      running.connect({ user: "ed", at: other }),
      running.connect({ user: "vi", at: other }),
    ]);
    for (const client of clients) {
      expect(await client.ask({ type: "subscribe", conversation: id })).toMatchObject({
        type: "subscribed",
      });
    }
    const [ann, , ed] = clients;
    if (ann === undefined || ed === undefined) throw new Error("there are five");
    const turn = await asked(ed, id, "what do we know? [[tokens:9]]");
    for (const client of clients) {
      await client.next(ending(id));
      expect(client.text(turn)).toBe(ann.text(turn));
      expect(client.revisions(id)).toEqual(ann.revisions(id));
    }
    expect(ann.text(turn).length).toBeGreaterThan(10);
    // Who else it is shared with is for its owner to know.
    const told = clients[4]?.frames.flatMap((one) => (one.type === "event" ? [one.event] : []));
    expect(told?.filter(({ type }) => type === "conversation.shared")).toEqual([
      { type: "conversation.shared", redacted: true },
      { type: "conversation.shared", redacted: true },
    ]);
  });

  test("I10: each may do what is theirs, and says what it is", async () => {
    const id = await begun();
    const vi = await running.connect({ user: "vi", at: other });
    const send = () => vi.ask({ type: "send", conversation: id, text: "mine" });
    expect(await send()).toMatchObject({ type: "nack", error: { code: "not_found" } });
    await share(id, "vi", "viewer");
    expect(await send()).toMatchObject({ type: "nack", error: { code: "forbidden" } });
    await share(id, "vi", "editor");
    expect(await send()).toMatchObject({ type: "ack" });
    await vi.next(ending(id));
    const one = async (user: string): Promise<unknown[]> => {
      const { status, body } = await running.http("GET", `${api}/${id}`, { user });
      return [status, body["access"], body["shares"]];
    };
    expect(await one("ann")).toEqual([200, "owner", [{ user: "vi", role: "editor" }]]);
    expect(await one("vi")).toEqual([200, "editor", null]);
    expect(await one("eve")).toEqual([404, undefined, undefined]);
    for (const [method, body] of [
      ["PATCH", { title: "vi's" }],
      ["PATCH", { archived: true }],
      ["DELETE", undefined],
    ] as const) {
      expect(coded(await running.http(method, `${api}/${id}`, { user: "vi", body }))).toEqual([
        403,
        "forbidden",
      ]);
    }
    expect(coded(await share(id, "eve", "viewer", "vi"))).toEqual([403, "forbidden"]);
    expect(coded(await share(id, "eve", "viewer", "eve"))).toEqual([404, "not_found"]);
    const shares = (user: string) => running.http("GET", `${api}/${id}/shares`, { user });
    expect((await shares("ann")).body).toEqual({
      items: [{ user: "vi", role: "editor" }],
      next: null,
    });
    expect(coded(await shares("vi"))).toEqual([403, "forbidden"]);
    expect(coded(await shares("eve"))).toEqual([404, "not_found"]);
    const { body } = await running.http("GET", `${api}/${id}/events`, { user: "vi" });
    expect(body["items"]).toContainEqual(
      expect.objectContaining({ type: "conversation.shared", data: {}, redacted: true }),
    );
  });

  test("lists show one's own and what is shared, or one of them", async () => {
    const [ann, ben] = [`ann-${systemIds()}`, `ben-${systemIds()}`];
    const [hers, his, both] = [await begun(ann), await begun(ben), await begun(ann)];
    await share(both, ben, "viewer", ann);
    expect(await listed(ben)).toEqual([
      [both, "viewer"],
      [his, "owner"],
    ]);
    expect(await listed(ben, "&shared=true")).toEqual([[both, "viewer"]]);
    expect(await listed(ben, "&shared=false")).toEqual([[his, "owner"]]);
    expect((await listed(ann)).flat()).toEqual([both, "owner", hers, "owner"]);
    const first = await running.http("GET", `${api}?limit=1`, { user: ben });
    const cursor = String(first.body["next"]);
    const second = await running.http("GET", `${api}?limit=1&cursor=${cursor}`, { user: ben });
    expect(second.body).toMatchObject({ items: [{ id: his }], next: null });
    await unshare(both, ben, ann);
    expect(await listed(ben)).toEqual([[his, "owner"]]);
    const bad = await running.http("GET", `${api}?shared=maybe`, { user: ben });
    expect(coded(bad)).toEqual([400, "bad_request"]);
  });

  test("I10: unsharing ends what is being read, in the middle of an answer, on every gateway", async () => {
    const id = await begun();
    await share(id, "vi", "viewer");
    await share(id, "stays", "viewer");
    const [ann, near, far, stays] = await Promise.all([
      running.connect({ user: "ann" }),
      running.connect({ user: "vi" }),
      running.connect({ user: "vi", at: other }),
      running.connect({ user: "stays", at: other }),
    ]);
    for (const client of [ann, near, far, stays]) {
      await client.ask({ type: "subscribe", conversation: id });
    }
    const turn = await asked(ann, id, "long [[tokens:8]] [[gate]]");
    running.world.provider.release(3);
    for (const client of [near, far]) await client.next("token");
    expect((await unshare(id, "vi")).status).toBe(204);
    const gone = {
      ...{ type: "unsubscribed", conversation: id },
      error: { code: "unshared", message: expect.any(String) as string },
    };
    for (const client of [near, far]) expect(await client.next("unsubscribed")).toEqual(gone);
    running.world.provider.release(5);
    await ann.next(ending(id));
    await stays.next(ending(id));
    expect(stays.text(turn)).toBe(ann.text(turn));
    for (const client of [near, far]) {
      // The socket stays, and nothing came behind the last word.
      client.send({ type: "ping" });
      await client.next("pong");
      const words = client.frames.map(({ type }) => type);
      expect(words.slice(words.indexOf("unsubscribed"))).toEqual(["unsubscribed", "pong"]);
      expect(await client.ask({ type: "subscribe", conversation: id })).toMatchObject({
        type: "nack",
        error: { code: "not_found" },
      });
    }
    for (const path of ["", "/messages", "/events", "/at/1"]) {
      const asked = await running.http("GET", `${api}/${id}${path}`, { user: "vi" });
      expect(coded(asked), path).toEqual([404, "not_found"]);
    }
  });

  test("what was unshared and shared again can be read again, also where nobody had seen it", async () => {
    const id = await begun();
    const fresh = await running.another();
    const vi = await running.connect({ user: "vi", at: fresh });
    const subscribe = () => vi.ask({ type: "subscribe", conversation: id });
    for (const [change, type] of [
      [() => share(id, "vi", "viewer"), "subscribed"],
      [() => unshare(id, "vi"), "nack"],
      [() => share(id, "vi", "editor"), "subscribed"],
    ] as const) {
      expect((await change()).status).toBeLessThan(300);
      expect(await subscribe()).toMatchObject({ type });
    }
  });

  test("whoever watches is told what is newly shared with them, and what no more", async () => {
    const user = `wa-${systemIds()}`;
    const [near, far] = await Promise.all([
      running.connect({ user }),
      running.connect({ user, at: other }),
    ]);
    for (const client of [near, far]) await client.ask({ type: "watch" });
    const id = await begun();
    await share(id, user, "viewer");
    for (const client of [near, far]) {
      expect((await client.next("changed")).conversation).toMatchObject({
        ...{ id, title: "Ours", access: "viewer" },
      });
    }
    await unshare(id, user);
    for (const client of [near, far]) {
      expect(await client.next("removed")).toEqual({ type: "removed", conversation: id });
    }
    await running.http("PATCH", `${api}/${id}`, { body: { title: "Not yours" } });
    const own = await begun(user);
    for (const client of [near, far]) {
      // The next that they hear of is their own.
      expect((await client.next("changed")).conversation.id).toBe(own);
    }
  });
});

describe("hostile sharing", () => {
  test("I10: with oneself, with a user of another tenant, and by one", async () => {
    const id = await begun();
    expect(coded(await share(id, "ann", "viewer"))).toEqual([400, "bad_request"]);
    await share(id, "zoe", "editor");
    for (const path of ["", "/messages", "/shares"]) {
      const asked = await running.http("GET", `${api}/${id}${path}`, {
        ...{ user: "zoe", tenant: "zeta" },
      });
      expect(asked.status, path).toBe(404);
    }
    const put = await running.http("PUT", `${api}/${id}/shares/zoe`, {
      ...{ user: "ann", tenant: "zeta", body: { role: "viewer" } },
    });
    expect(put.status).toBe(404);
    const zoe = await running.connect({ user: "zoe", tenant: "zeta" });
    expect(await zoe.ask({ type: "subscribe", conversation: id })).toMatchObject({
      error: { code: "not_found" },
    });
  });

  test("I10: user ids that are words of the language, or no ids at all", async () => {
    const id = await begun();
    for (const user of ["constructor", "toString", "a.b_c@d-e", "0"]) {
      expect((await running.http("GET", `${api}/${id}`, { user })).status, user).toBe(404);
      expect((await share(id, encodeURIComponent(user), "viewer")).body).toEqual({
        ...{ user, role: "viewer" },
      });
      const { status, body } = await running.http("GET", `${api}/${id}`, { user });
      expect([status, body["access"]], user).toEqual([200, "viewer"]);
      expect((await unshare(id, encodeURIComponent(user))).status).toBe(204);
      expect((await running.http("GET", `${api}/${id}`, { user })).status, user).toBe(404);
    }
    for (const user of [
      "__proto__",
      "%20",
      "a%2Fb",
      "a*b",
      "%00",
      "x".repeat(129),
      "%F0%9F%99%82",
    ]) {
      const { status } = await share(id, user, "viewer");
      expect([400, 404], user).toContain(status);
    }
    for (const body of [{}, { role: "owner" }, { role: "viewer", user: "eve" }, []]) {
      const asked = await running.http("PUT", `${api}/${id}/shares/eve`, { body });
      expect(coded(asked)).toEqual([400, "bad_request"]);
    }
  });

  test("I11: a thousand users are the most", async () => {
    const id = await begun();
    const { streams } = await running.world.system.client();
    const publisher = commandPublisher(streams, secret);
    const ref = { tenant: "acme", kind: "conversation", id } as const;
    const by = { type: "user", id: "ann" } as const;
    const count = limits.shares_per_conversation_max;
    // By the way of every command, but without an answer each; the queue keeps their order.
    for (let from = 0; from < count; from += 200) {
      await Promise.all(
        Array.from({ length: Math.min(200, count - from) }, (_, index) =>
          publisher.publish({
            ...{ ref, by, id: systemIds(), name: "share", reply: null, traceparent: null },
            data: { user: `user-${String(from + index).padStart(4, "0")}`, role: "viewer" },
          }),
        ),
      );
      await expect
        .poll(
          async () => (await share(id, `user-${String(from).padStart(4, "0")}`, "viewer")).status,
        )
        .toBe(200);
    }
    const shares = async (): Promise<number> => {
      const { body } = await running.http("GET", `${api}/${id}`);
      return (body["shares"] as unknown[]).length;
    };
    await expect.poll(shares).toBe(count);
    expect(coded(await share(id, "one-more", "viewer"))).toEqual([409, "too_many_shares"]);
    expect((await share(id, "user-0007", "editor")).status).toBe(200);
    await unshare(id, "user-0008");
    expect((await share(id, "one-more", "viewer")).status).toBe(200);
  });

  test("a deleted conversation is shared with nobody and can be shared no more", async () => {
    const id = await begun();
    await share(id, "vi", "viewer");
    const vi = await running.connect({ user: "vi", at: other });
    await vi.ask({ type: "subscribe", conversation: id });
    expect((await running.http("DELETE", `${api}/${id}`)).status).toBe(204);
    await vi.next((one) => one.type === "event" && one.event.type === "conversation.deleted");
    expect(coded(await running.http("GET", `${api}/${id}`, { user: "vi" }))).toEqual([
      410,
      "conversation_deleted",
    ]);
    expect(coded(await share(id, "ed", "viewer"))).toEqual([410, "conversation_deleted"]);
    expect(coded(await unshare(id, "vi"))).toEqual([410, "conversation_deleted"]);
    expect((await listed("vi", "&shared=true")).flat()).not.toContain(id);
  });
});

test("nothing was reported as a fault", () => expect(running.problems).toEqual([]));
