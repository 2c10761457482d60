/** What happened and how it stood, over HTTP on real parts: events, states and the audit. */
import { beforeAll, describe, expect, test } from "vitest";
import { Turnstile } from "../../gateway/turnstile.ts";
import { type Commit, empty_head } from "../../schemas/commit.ts";
import { event } from "../../schemas/events.ts";
import type { AuditEntry, ConversationState, LoggedEvent, Page } from "../../schemas/http.ts";
import { systemIds } from "../../schemas/ids.ts";
import { limits } from "../../schemas/limits.ts";
import type { Log } from "../../streams/log/log.ts";
import { type Running, startRunning } from "./running.ts";

let running: Running;
let log: Log;
beforeAll(async () => {
  running = await startRunning();
  ({ log } = await running.world.system.client());
  return () => running.stop();
});

const api = "/api/v1/conversations";
type Answer = Awaited<ReturnType<Running["http"]>>;
const get = (path: string, user: string, more: object = {}): Promise<Answer> =>
  running.http("GET", path, { user, ...more });
const coded = ({ status, body }: Answer): unknown[] => [status, body["code"]];
const forged = (...place: unknown[]): string =>
  Buffer.from(JSON.stringify(place)).toString("base64url");

/** All items of a list, page by page. */
async function pages<T>(path: string, user: string, more: object = {}): Promise<T[]> {
  const items: T[] = [];
  let cursor = "";
  do {
    const { status, body } = await get(`${path}${cursor}`, user, more);
    expect([status, body["code"]]).toEqual([200, undefined]);
    items.push(...(body["items"] as T[])); // as PROTOCOL.md
    const next = body["next"];
    cursor = typeof next === "string" ? `&cursor=${encodeURIComponent(next)}` : "";
  } while (cursor !== "");
  return items;
}

async function commitsOf(id: string): Promise<Commit[]> {
  const commits: Commit[] = [];
  const ref = { tenant: "acme", kind: "conversation", id } as const;
  for await (const commit of log.read(ref, empty_head)) commits.push(commit);
  return commits;
}

/** A conversation with a title and two turns, ended. */
async function talked(user: string, tenant = "acme"): Promise<string> {
  const made = await running.http("POST", api, { user, tenant, body: { title: "Sagas" } });
  const id = String(made.body["id"]);
  const client = await running.connect({ user, tenant });
  for (const text of ["what is a saga?", "and compensation?"]) {
    await client.ask({ type: "send", conversation: id, text });
    await client.next("end");
  }
  return id;
}

describe("the past over HTTP", () => {
  test("events are every revision once, oldest first, in pages of any size", async () => {
    const user = "events";
    const id = await talked(user);
    const whole = await get(`${api}/${id}/events?limit=200`, user);
    const items = whole.body["items"] as LoggedEvent[]; // as PROTOCOL.md
    expect(items.map(({ revision }) => revision)).toEqual(items.map((_, at) => at + 1));
    expect(whole.headers.get("x-colloquy-seq")).toMatch(/^\d+$/);
    const commits = await commitsOf(id);
    const facts = commits.flatMap(({ by, at, command, commit, events, revision }) =>
      events.map(({ type, data }, n) => ({
        ...{ revision: revision + n, type, data, by, at, command, commit },
      })),
    );
    expect(items).toEqual(facts);
    expect(items[1]).toMatchObject({ type: "conversation.titled", data: { title: "Sagas" } });
    for (const limit of [1, 2, 3, 5]) {
      expect(await pages(`${api}/${id}/events?limit=${limit}`, user), `${limit}`).toEqual(items);
    }
  });

  test("I4: I8: the state at the last revision is what the reads say, and before it what they said", async () => {
    const user = "states";
    const id = await talked(user);
    const { body: conversation } = await get(`${api}/${id}`, user);
    const { body: list } = await get(`${api}/${id}/messages?all=true&limit=200`, user);
    const last = Number(conversation["revision"]);
    const now = await get(`${api}/${id}/at/${last}?limit=200`, user);
    expect(now.body).toEqual({ conversation, messages: list["items"], next: null });
    const begun = await get(`${api}/${id}/at/1`, user);
    // The whole commit that holds revision 1: it is titled already.
    expect(begun.body).toMatchObject({
      conversation: { title: "Sagas", revision: 2 },
      messages: [],
    });
    const seen: unknown[] = [];
    let cursor = "";
    do {
      const { body } = await get(`${api}/${id}/at/${last}?limit=1${cursor}`, user);
      const { messages, next } = body as ConversationState; // as PROTOCOL.md
      seen.push(...messages);
      cursor = next === null ? "" : `&cursor=${next}`;
    } while (cursor !== "");
    expect(seen).toEqual(list["items"]);
    await running.http("PATCH", `${api}/${id}`, { user, body: { title: "Later", archived: true } });
    expect((await get(`${api}/${id}/at/${last}?limit=200`, user)).body).toEqual(now.body);
    const { conversation: later } = (await get(`${api}/${id}/at/${last + 1}`, user))
      .body as ConversationState; // as PROTOCOL.md
    expect(later).toMatchObject({ title: "Later", status: "archived" });
  });

  test("of a deleted conversation the facts stay, and nothing of what was said in it", async () => {
    const user = "gone";
    const id = await talked(user);
    const { body: before } = await get(`${api}/${id}`, user);
    const last = Number(before["revision"]);
    expect((await running.http("DELETE", `${api}/${id}`, { user })).status).toBe(204);
    // At once: the key may not be erased yet.
    const items = await pages<LoggedEvent>(`${api}/${id}/events?limit=200`, user);
    expect(items.at(-1)).toMatchObject({ type: "conversation.deleted", revision: last + 1 });
    expect(items.find(({ type }) => type === "message.added")).toMatchObject({
      ...{ redacted: true, data: { role: "user", text: "" }, by: { type: "user", id: user } },
    });
    expect(items.find(({ type }) => type === "turn.started")?.redacted).toBeUndefined();
    const state = await get(`${api}/${id}/at/${last}?limit=200`, user);
    expect(state.body).toMatchObject({
      conversation: { revision: last, title: "" },
      messages: [{ role: "user", text: "" }, { role: "assistant", text: "" }, {}, {}],
    });
    const ended = await get(`${api}/${id}/at/${last + 1}`, user);
    expect(ended.body).toMatchObject({ conversation: { status: "deleted", title: null } });
    expect(ended.body["messages"]).toEqual([]);
    const text = JSON.stringify([items, state.body, ended.body]);
    expect(text).not.toMatch(/saga|compensation/i);
  });

  test("I10: of somebody else's it says that it is not there, also to the tenant's admins", async () => {
    const id = await talked("mine");
    for (const path of [`${api}/${id}/events`, `${api}/${id}/at/1`]) {
      expect(coded(await get(path, "other"))).toEqual([404, "not_found"]);
      expect(coded(await get(path, "mine", { tenant: "beta" }))).toEqual([404, "not_found"]);
      expect(coded(await get(path, "boss", { role: "owner" }))).toEqual([404, "not_found"]);
      expect(coded(await get(path.replace(id, systemIds()), "mine"))).toEqual([404, "not_found"]);
      expect(coded(await get(path.replace(id, "x"), "mine"))).toEqual([404, "not_found"]);
      expect(coded(await running.http("POST", path, { user: "mine" }))[0]).toBe(405);
    }
  });

  test("I10: made-up cursors and revisions are refused, each with its code", async () => {
    const user = "cursors";
    const [id, other] = [await talked(user), await talked(user)];
    const [[first], [foreign]] = [await commitsOf(id), await commitsOf(other)];
    if (first === undefined || foreign === undefined) throw new Error("nothing there");
    const zero = "0".repeat(64);
    for (const cursor of [
      ...["", "x", forged("messages", 1), forged("events"), forged("events", 2, 2, first.sequence)],
      // Another conversation's commit, a hash of nobody's, places that never were.
      forged("events", 2, 2, foreign.sequence, foreign.hash),
      forged("events", 2, 2, first.sequence, foreign.hash),
      forged("events", 3, 3, first.sequence, first.hash),
      forged("events", 9, 9, 0, zero),
      forged("events", 2, 2, 2 ** 50, first.hash),
      forged("events", -1, -1, -1, zero),
      forged("events", 1.5, 1, 1, zero),
    ]) {
      const path = `${api}/${id}/events?cursor=${encodeURIComponent(cursor)}`;
      expect([cursor, ...coded(await get(path, user))]).toEqual([cursor, 400, "bad_cursor"]);
    }
    const honest = forged("events", 2, 2, first.sequence, first.hash);
    const behind = await get(`${api}/${id}/events?limit=1&cursor=${honest}`, user);
    expect(behind.body["items"]).toMatchObject([{ revision: 3 }]);
    const wrong: [string, number, string][] = [
      ["at/0", 400, "bad_request"],
      ["at/-1", 400, "bad_request"],
      ["at/1.5", 400, "bad_request"],
      ["at/01", 400, "bad_request"],
      ["at/last", 400, "bad_request"],
      ["at/99999999999999999999", 400, "bad_request"],
      ["at/9999999999999999", 404, "revision_not_found"],
      ["at/500", 404, "revision_not_found"],
      ["at/1?cursor=x", 400, "bad_cursor"],
      ["at/1?limit=201", 400, "bad_request"],
      ["events?limit=0", 400, "bad_request"],
    ];
    for (const [path, status, code] of wrong) {
      expect([path, ...coded(await get(`${api}/${id}/${path}`, user))]).toEqual([
        path,
        status,
        code,
      ]);
    }
  });
});

describe("a long past over HTTP", () => {
  /** A gateway that reads a log in which every answer is as long as the longest. */
  const fat = (text: string) =>
    running.another({
      log: {
        ...log,
        async *read(ref, after) {
          for await (const commit of log.read(ref, after)) {
            const events = commit.events.map((one) =>
              one.type === "turn.completed" ? event(one.type, { ...one.data, text }) : one,
            );
            yield { ...commit, events };
          }
        },
      },
    });

  test("I11: a page of events ends early when its texts are long, and the next goes on", async () => {
    const user = "long";
    const id = await talked(user);
    const at = await fat("x".repeat(limits.history_chars_max + 1));
    const authorization = `Bearer ${await running.token(user)}`;
    const sizes: number[] = [];
    let next: string | null = "";
    while (next !== null) {
      const cursor: string = next === "" ? "" : `&cursor=${next}`;
      const response = await fetch(`${at.url}${api}/${id}/events?limit=200${cursor}`, {
        headers: { authorization },
      });
      const page = (await response.json()) as Page<LoggedEvent>; // as PROTOCOL.md
      sizes.push(page.items.length);
      ({ next } = page);
    }
    const whole = await pages(`${api}/${id}/events?limit=200`, user);
    // Two answers, each the end of its page; the second has something behind it, or nothing.
    expect(sizes.length).toBeGreaterThanOrEqual(2);
    expect(sizes.reduce((sum, size) => sum + size)).toBe(whole.length);
  });

  test("I10: I11: so many folds at once, of one tenant fewer; more is told to try again", async () => {
    const [id, theirs] = [await talked("many"), await talked("many", "beta")];
    const opened = Promise.withResolvers<void>();
    let entered = 0;
    const all = Promise.withResolvers<void>();
    const at = await running.another({
      log: {
        ...log,
        async *read(ref, after) {
          entered += 1;
          if (entered === limits.histories_folded_per_tenant_max) all.resolve();
          await opened.promise;
          yield* log.read(ref, after);
        },
      },
    });
    const ask = async (of: string, tenant: string): Promise<number> => {
      const authorization = `Bearer ${await running.token("many", tenant)}`;
      const response = await fetch(`${at.url}${api}/${of}/at/1`, { headers: { authorization } });
      return response.status;
    };
    const waiting = Array.from({ length: limits.histories_folded_per_tenant_max }, () =>
      ask(id, "acme"),
    );
    await all.promise;
    expect(await ask(id, "acme")).toBe(429);
    const other = ask(theirs, "beta");
    opened.resolve();
    expect(new Set(await Promise.all([...waiting, other]))).toEqual(new Set([200]));
    expect(await ask(id, "acme")).toBe(200);
  });
});

describe("the audit over HTTP", () => {
  const audit = "/api/v1/audit";

  test("it is for owners and admins, and says who did what by which command and trace", async () => {
    const user = "audited";
    const id = await talked(user);
    const trace = systemIds().replaceAll("-", "");
    const deleted = await running.http("DELETE", `${api}/${id}`, {
      ...{ user, headers: { traceparent: `00-${trace}-${"1".repeat(16)}-01` } },
    });
    const seq = deleted.headers.get("x-colloquy-seq") ?? "";
    expect(coded(await get(audit, user))).toEqual([403, "forbidden"]);
    for (const role of ["admin", "owner"] as const) {
      const more = { role, headers: { "x-colloquy-seq": seq } };
      const items = await pages<AuditEntry>(`${audit}?actor=${id}&limit=2`, "boss", more);
      expect(items[0]).toMatchObject({
        ...{ kind: "conversation", id, by: { type: "user", id: user } },
        ...{ actions: ["conversation.deleted"], sequence: Number(seq), traceId: trace },
      });
      expect(items.at(-1)?.actions).toEqual(["conversation.started", "conversation.titled"]);
      expect(items.filter(({ by }) => by.type === "system")).toHaveLength(2);
      const times = items.map(({ at }) => at);
      expect(times).toEqual(times.toSorted().toReversed());
      const entry = items[0];
      for (const wish of [
        ...[`command=${entry?.command}`, `trace=${trace}`],
        `type=conversation.deleted&by=${user}&byType=user`,
        `from=${entry?.at}&actor=${id}&kind=conversation`,
      ]) {
        expect(await pages(`${audit}?${wish}`, "boss", more), wish).toEqual([entry]);
      }
      expect(await pages(`${audit}?to=${entry?.at}&actor=${id}`, "boss", more)).toEqual(
        items.slice(1),
      );
    }
  });

  test("I10: another tenant's owner finds nothing of it", async () => {
    const id = await talked("here");
    const theirs = { tenant: "beta", role: "owner" };
    expect(await pages(`${audit}?actor=${id}`, "boss", theirs)).toEqual([]);
    expect(await pages(`${audit}?by=here`, "boss", theirs)).toEqual([]);
    await talked("there", "beta");
    const all = await pages<AuditEntry>(`${audit}?limit=200`, "boss", theirs);
    expect(new Set(all.map(({ by }) => by.id)).has("there")).toBe(true);
    expect(all.map((one) => one.id)).not.toContain(id);
  });

  test("what cannot be meant is refused", async () => {
    const admin = { role: "admin" };
    for (const wish of [
      ...["actor=x", "actor=", "kind=room", "byType=robot", "type=turn", "type=conversation.eaten"],
      ...["command=1", "trace=xyz", "from=yesterday", "from=2026-11-21T05:00", "to=2026-13-01"],
      ...["by=", `by=${"x".repeat(129)}`, "by=%00", "limit=0"],
    ]) {
      const answer = await get(`${audit}?${wish}`, "boss", admin);
      expect([wish, ...coded(answer)]).toEqual([wish, 400, "bad_request"]);
    }
    const cursor = forged("audit", "2026-11-21T05:00:00.000Z", -1);
    const bad = await get(`${audit}?cursor=${cursor}`, "boss", admin);
    expect(coded(bad)).toEqual([400, "bad_cursor"]);
    const none = await get(
      `${audit}?from=2026-11-21T05:00:00%2B01:00&to=1999-01-01`,
      "boss",
      admin,
    );
    expect(none.body).toEqual({ items: [], next: null, parked: [] });
  });
});

test("I10: I11: a turnstile lets so many in, of all and of one tenant, and forgets who left", () => {
  const turnstile = new Turnstile(3, 2);
  const leaves = [turnstile.enter("acme"), turnstile.enter("acme")];
  expect(() => turnstile.enter("acme")).toThrow(expect.objectContaining({ code: "tenant_busy" }));
  leaves.push(turnstile.enter("beta"));
  expect(() => turnstile.enter("gamma")).toThrow(expect.objectContaining({ code: "overloaded" }));
  for (const leave of leaves) leave();
  turnstile.enter("gamma");
  turnstile.enter("gamma");
  turnstile.enter("acme");
});

test("nothing of all this was a fault of the gateway", () => {
  expect(running.problems).toEqual([]);
});
