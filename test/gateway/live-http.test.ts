/** The HTTP API on real parts: shapes, codes, pages, and the life of a conversation. */
import { beforeAll, describe, expect, test } from "vitest";
import { AppError } from "../../schemas/errors.ts";
import { systemIds } from "../../schemas/ids.ts";
import { limits } from "../../schemas/limits.ts";
import { type Running, startRunning } from "./running.ts";

let running: Running;
beforeAll(async () => {
  running = await startRunning();
  return () => running.stop();
});

const api = "/api/v1/conversations";

describe("over HTTP", () => {
  test("a conversation's whole life", async () => {
    const made = await running.http("POST", api, { body: { title: "A life" }, user: "life" });
    expect(made.status).toBe(201);
    const id = String(made.body["id"]);
    expect(made.headers.get("location")).toBe(`${api}/${id}`);
    const user = "life";
    expect((await running.http("GET", `${api}/${id}`, { user })).body).toEqual(made.body);
    const client = await running.connect({ user });
    await client.ask({ type: "subscribe", conversation: id });
    const posted = await running.http("POST", `${api}/${id}/messages`, {
      ...{ user, body: { text: "hello" } },
      headers: { "idempotency-key": "one" },
    });
    expect(posted.status).toBe(202);
    const repeated = await running.http("POST", `${api}/${id}/messages`, {
      ...{ user, body: { text: "hello" } },
      headers: { "idempotency-key": "one" },
    });
    expect(repeated.body["message"]).toBe(posted.body["message"]);
    await client.next("end");
    const page = await running.http("GET", `${api}/${id}/messages?limit=1`, { user });
    expect(page.body["items"]).toMatchObject([{ id: posted.body["message"], role: "user" }]);
    const rest = await running.http(
      "GET",
      `${api}/${id}/messages?limit=1&cursor=${encodeURIComponent(String(page.body["next"]))}`,
      { user },
    );
    expect(rest.body).toMatchObject({ items: [{ role: "assistant" }], next: null });
    const patched = await running.http("PATCH", `${api}/${id}`, { user, body: { archived: true } });
    expect(patched.body).toMatchObject({ status: "archived", title: "A life" });
    const listed = await running.http("GET", `${api}?status=archived`, { user });
    expect(listed.body["items"]).toMatchObject([{ id }]);
    expect((await running.http("DELETE", `${api}/${id}`, { user })).status).toBe(204);
    const calls = [
      await running.http("GET", `${api}/${id}`, { user }),
      await running.http("GET", `${api}/${id}/messages`, { user }),
      await running.http("POST", `${api}/${id}/messages`, { user, body: { text: "still there?" } }),
    ];
    for (const { status, body } of calls) {
      expect([status, body["code"]]).toEqual([410, "conversation_deleted"]);
    }
    expect(await client.ask({ type: "send", conversation: id, text: "and here?" })).toMatchObject({
      error: { code: "conversation_deleted" },
    });
  });

  test("a 202 names the answer that a command began, or the one that it ended", async () => {
    const user = "names";
    const id = systemIds();
    const client = await running.connect({ user });
    await client.ask({ type: "send", conversation: id, text: "first" });
    await client.next("end");
    const first = client.frames.flatMap((one) =>
      one.type === "event" && one.event.type === "turn.completed" ? [one.event["message"]] : [],
    )[0];
    const again = `${api}/${id}/messages/${String(first)}/regenerate`;
    running.world.provider.script({ fault: "hang" });
    const hanging = await running.http("POST", again, { user, body: {} });
    const instead = await running.http("POST", again, { user, body: { overlap: "interrupt" } });
    await client.until((frames) => frames.filter(({ type }) => type === "end").length === 3);
    const begun = client.frames.flatMap((one) =>
      one.type === "event" && one.event.type === "turn.started" ? [one.event["message"]] : [],
    );
    expect([first, hanging.body["message"], instead.body["message"]]).toEqual(begun);
    const nothing = await running.http("POST", `${api}/${id}/cancel`, { user, body: {} });
    expect(nothing).toMatchObject({ status: 202, body: { message: null } });
    running.world.provider.script({ fault: "hang" });
    const hung = await running.http("POST", again, { user, body: {} });
    const ended = await running.http("POST", `${api}/${id}/cancel`, { user, body: {} });
    expect(ended.body["message"]).toBe(hung.body["message"]);
  });

  test("lists go page by page, newest first, each once", async () => {
    const made: string[] = [];
    for (let n = 0; n < 5; n++) {
      const { body } = await running.http("POST", api, { body: {}, user: "pages" });
      made.unshift(String(body["id"]));
    }
    const seen: unknown[] = [];
    let cursor = "";
    do {
      const { body } = await running.http("GET", `${api}?limit=2${cursor}`, { user: "pages" });
      const items = body["items"] as { id: string }[]; // as PROTOCOL.md
      seen.push(...items.map(({ id }) => id));
      const next = body["next"];
      cursor = typeof next === "string" ? `&cursor=${encodeURIComponent(next)}` : "";
    } while (cursor !== "");
    expect(seen).toEqual(made);
  });

  test("metrics say how far each read model is, also while the database is away", async () => {
    await running.http("POST", api, { body: {} });
    const scrape = async (url: string): Promise<string> => (await fetch(`${url}/metrics`)).text();
    const lag = /^colloquy_projection_lag_commits\{read_model="messages"\} 0$/m;
    await expect.poll(() => scrape(running.gateway.url)).toMatch(lag);
    const text = await scrape(running.gateway.url);
    const [, end = ""] = /^colloquy_log_sequence (\d+)$/m.exec(text) ?? [];
    expect(Number(end)).toBeGreaterThan(0);
    expect(text).toContain(`colloquy_projection_position{read_model="messages"} ${end}\n`);
    const away = new AppError("unavailable");
    const queries = { ...running.queries, positions: () => Promise.reject(away) };
    const without = await scrape((await running.another({ queries })).url);
    expect(without).toMatch(/^colloquy_log_sequence \d+$/m);
    expect(without).not.toContain("colloquy_projection");
  });

  test("health, readiness and problems, each with its code", async () => {
    const { gateway } = running;
    expect((await fetch(`${gateway.url}/health`)).status).toBe(200);
    // Read models say once a second how far they are.
    const ready = async (): Promise<number> => (await fetch(`${gateway.url}/ready`)).status;
    await expect.poll(ready).toBe(200);
    const at = await running.another({ ready: async () => ({ ready: false, checks: [] }) });
    expect((await fetch(`${at.url}/ready`)).status).toBe(503);
    const { body: made } = await running.http("POST", api, { body: {} });
    const messages = `${api}/${String(made["id"])}/messages`;
    const text = "x".repeat(limits.text_chars_max + 1);
    const large = { text: "x".repeat(limits.body_bytes_max) };
    const wrong: [string, string, object | undefined, number, string][] = [
      ["GET", "/nowhere", undefined, 404, "not_found"],
      ["GET", `${api}/not-an-id`, undefined, 404, "not_found"],
      ["GET", `${api}/${systemIds()}`, undefined, 404, "not_found"],
      ["PUT", api, undefined, 405, "method_not_allowed"],
      ["GET", `${api}?limit=0`, undefined, 400, "bad_request"],
      ["GET", `${api}?cursor=nonsense`, undefined, 400, "bad_cursor"],
      ["POST", messages, {}, 400, "bad_request"],
      ["POST", messages, { text: "hi", model: "unknown" }, 404, "model_not_found"],
      ["POST", messages, { text }, 413, "text_too_long"],
      ["POST", messages, large, 413, "too_large"],
      ["POST", `${api}/${systemIds()}/messages`, { text: "a", more: 1 }, 400, "bad_request"],
    ];
    for (const [method, path, body, status, code] of wrong) {
      const answer = await running.http(method, path, body === undefined ? {} : { body });
      expect([method, path, answer.status, answer.body["code"]]).toEqual([
        ...[method, path],
        ...[status, code],
      ]);
      expect(answer.headers.get("content-type")).toBe("application/problem+json");
      expect(answer.body).toMatchObject({
        status,
        traceId: expect.stringMatching(/^[0-9a-f]{32}$/),
      });
    }
    for (const authorization of ["", "Bearer a.b.c"]) {
      const answer = await fetch(`${gateway.url}${api}`, { headers: { authorization } });
      expect(answer.status).toBe(401);
    }
  });

  test("nothing of all this was a fault of the gateway", () => {
    expect(running.problems).toEqual([]);
  });
});
