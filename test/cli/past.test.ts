/** `colloquy conversation show` and `colloquy audit` as an operator types them, served and at rest. */
import { rmSync } from "node:fs";
import { afterAll, beforeAll, expect, test, vi } from "vitest";
import { audit } from "../../cli/audit.ts";
import { type Command, runCommand } from "../../cli/line/command.ts";
import { CliError } from "../../cli/line/cli-error.ts";
import { conversation } from "../../cli/conversation/conversation.ts";
import { difference, type State } from "../../cli/projections/difference.ts";
import { differenceLines } from "../../cli/conversation/text.ts";
import type { AuditEntry, ConversationState, LoggedEvent, Message } from "../../schemas/http.ts";
import { systemIds } from "../../schemas/ids.ts";
import { temporary } from "../support/services.ts";
import { colloquy, type Served, startServe } from "../system/serve.ts";

const api = "/api/v1/conversations";
const hostile = "\u001b[2Jcleared \u202e\u009b31m";
let folder: string;
let served: Served;
let id: string;
let deleted: string;
let events: readonly LoggedEvent[];
let running = true;

interface Answer {
  readonly body: Record<string, unknown>;
  readonly sequence: string;
}
async function http(
  method: string,
  path: string,
  body: object | null,
  headers: Record<string, string> = {},
): Promise<Answer> {
  const response = await fetch(`${served.url}${path}`, {
    method,
    headers: {
      authorization: `Bearer ${await served.token()}`,
      "content-type": "application/json",
      ...headers,
    },
    ...(body === null ? {} : { body: JSON.stringify(body) }),
  });
  const text = await response.text();
  // `stale`: the machine is busy, and the read model comes later.
  if (response.status === 504) return http(method, path, body, headers);
  expect(response.ok, text).toBe(true);
  return {
    body: text === "" ? {} : (JSON.parse(text) as Record<string, unknown>), // bodies are objects
    sequence: response.headers.get("x-colloquy-seq") ?? "",
  };
}
const eventsOf = async (of: string): Promise<readonly LoggedEvent[]> =>
  (await served.get<{ items: LoggedEvent[] }>(`${api}/${of}/events?limit=200`)).items;

beforeAll(async () => {
  vi.stubEnv("NATS_URL", undefined);
  vi.stubEnv("DATABASE_URL", undefined);
  folder = temporary("past");
  served = await startServe(folder);
  id = String((await http("POST", api, { title: "First title" })).body["id"]);
  await http("POST", `${api}/${id}/messages`, { text: `what is a log?\n${hostile}` });
  // Every answer comes from the log's leader, so this ends with the turn.
  const ended = async (): Promise<boolean> =>
    (await eventsOf(id)).some(({ type }) => type === "turn.completed");
  while (!(await ended()));
  await http("PATCH", `${api}/${id}`, { title: "Second title" });
  events = await eventsOf(id);
  deleted = String((await http("POST", api, { title: "a secret of mine" })).body["id"]);
  const { sequence } = await http("DELETE", `${api}/${deleted}`, {});
  const words = ["token", "--tenant", "main", "--user", "boss", "--role", "admin"];
  const { out: token } = await colloquy(words, { folder });
  // From here on the audit has it all.
  await http("GET", "/api/v1/audit", null, {
    ...{ authorization: `Bearer ${token.trim()}`, "x-colloquy-seq": sequence },
  });
});
afterAll(async () => {
  vi.unstubAllEnvs();
  if (running) await served.end("SIGTERM");
  rmSync(folder, { recursive: true, force: true, maxRetries: 10 });
});

/** Runs a command in this process, which is quicker than one of its own. */
async function human(name: string, command: Command, ...words: string[]) {
  let [out, err] = ["", ""];
  const told = vi.spyOn(process.stdout, "write").mockImplementation((text) => {
    out += String(text);
    return true;
  });
  const complained = vi.spyOn(process.stderr, "write").mockImplementation((text) => {
    err += String(text);
    return true;
  });
  try {
    return { code: await runCommand(name, command, [...words, "--data", folder]), out, err };
  } catch (error) {
    if (!(error instanceof CliError)) throw error;
    return { code: error.exit, out, err: error.message };
  } finally {
    told.mockRestore();
    complained.mockRestore();
  }
}
const show = (...words: string[]) => human("conversation", conversation, "show", ...words);
const audited = (...words: string[]) => human("audit", audit, ...words);
/** What a command says to programs; to people it may say beside it what is still to come. */
async function json<T>(said: Promise<{ code: number; out: string; err: string }>): Promise<T> {
  const { code, out, err } = await said;
  expect(code, err).toBe(0);
  return JSON.parse(out) as T; // what the command under test says
}
// oxlint-disable-next-line no-control-regex
const raw = /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u202e]/;

interface Diff {
  readonly from: { readonly revision: number };
  readonly to: { readonly revision: number };
  readonly conversation: readonly { field: string; from: unknown; to: unknown }[];
  readonly added: readonly Message[];
  readonly changed: readonly { message: Message; fields: readonly { field: string }[] }[];
  readonly removed: readonly Message[];
}

test("I4: a conversation is shown as it is, as it was behind a revision, and as it was at a time", async () => {
  const last = events.length;
  const state = await served.get<ConversationState>(`${api}/${id}/at/${last}`);
  // Whoever asks over HTTP is told what it is to him; an operator sees all of it.
  const { access: _access, ...conversation } = state.conversation;
  const now = await json<ConversationState>(show(id, "--json"));
  expect(now).toMatchObject({ conversation, messages: state.messages });
  const begun = await json<ConversationState>(show(id, "--at", "1", "--json"));
  expect(begun).toMatchObject({ conversation: { title: "First title" }, messages: [] });
  // A time is as good as the revision that stood then; a moment before it, it was another.
  const titled = events.at(-1)?.at ?? "";
  const at = await json<ConversationState>(show(id, "--at", titled, "--json"));
  expect(at.conversation).toEqual(conversation);
  const before = new Date(Date.parse(titled) - 1).toISOString();
  const earlier = await json<ConversationState>(show("--at", before, id, "--json"));
  expect(earlier.conversation).toMatchObject({ title: "First title", revision: last - 1 });
  const { out } = await show(id);
  expect(out).toContain("Second title");
  expect(out).toContain("    what is a log?\n    \\u001b[2Jcleared");
  expect(out).not.toMatch(raw);
});

test("what changed between two moments is printed for people and as JSON", async () => {
  const question = events.find(({ type }) => type === "message.added")?.revision ?? 0;
  const last = String(events.length);
  const all = await json<Diff>(show(id, "--diff", "0", last, "--json"));
  expect(all).toMatchObject({ from: { revision: 0, at: null }, changed: [], removed: [] });
  expect(all.added.map(({ role }) => role)).toEqual(["user", "assistant"]);
  const titleOf = (diff: Diff) => diff.conversation.find(({ field }) => field === "title");
  expect(titleOf(all)).toEqual({ field: "title", from: null, to: "Second title" });
  // From the commit with the question, whose answer has begun in it, to its end.
  const ended = await json<Diff>(show("--diff", String(question), last, id, "--json"));
  expect([ended.added, ended.removed]).toEqual([[], []]);
  expect(titleOf(ended)).toEqual({ field: "title", from: "First title", to: "Second title" });
  expect(ended.changed).toMatchObject([{ message: { role: "assistant", status: "done" } }]);
  const changed = ended.changed[0]?.fields.map(({ field }) => field);
  expect(changed).toEqual(["text", "status", "finish", "usage"]);
  const back = await json<Diff>(show(id, "--diff", last, "2", "--json"));
  expect(back.removed.map(({ role }) => role)).toEqual(["user", "assistant"]);
  const { out } = await show(id, "--diff", String(question), events.at(-1)?.at ?? "");
  expect(out).toContain("title      First title → Second title");
  expect(out).toContain("status     generating → done");
  expect(out).not.toContain("what is a log?\n");
  const same = await show(id, "--diff", "1", "2");
  expect(same.out).toContain("nothing changed");
});

test("what is not there or cannot be meant is one sentence", async () => {
  const failures: [string[], number, RegExp][] = [
    [[systemIds()], 1, /There is no conversation .* of tenant main; --tenant names another/],
    [[id, "--tenant", "other"], 1, /There is no conversation .* of tenant other/],
    [[id, "--at", "999"], 1, new RegExp(`has only come to revision ${events.length}\\.`)],
    [[id, "--at", "2001-01-01"], 1, /had not begun then/],
    [[], 2, /needs a conversation's id/],
    [["x"], 2, /needs a conversation's id/],
    [[id, "more"], 2, /"more" is one word too many/],
    [[id, "--at", "0"], 2, /neither a revision from 1 on nor a time/],
    [[id, "--at", "-1"], 2, /neither a revision|ambiguous/],
    [[id, "--at", "2026-11-21T05:00"], 2, /neither a revision from 1 on nor a time with its zone/],
    [[id, "--diff", "1"], 2, /takes two moments/],
    [[id, "--diff", "1", "2", "--at", "1"], 2, /takes two moments/],
    [[id, "--diff", "1", "\u001b[2J"], 2, /"\\u001b\[2J" is neither/],
    [[id, "--tenant", "*"], 2, /--tenant is a slug/],
  ];
  for (const [words, code, sentence] of failures) {
    const said = await show(...words);
    expect([words, said.code]).toEqual([words, code]);
    expect(said.err).toMatch(sentence);
  }
});

test("of a deleted conversation the facts are shown, blank, and the audit keeps who did it", async () => {
  const shown = await show(deleted, "--at", "2");
  expect([shown.code, shown.err]).toEqual([0, ""]);
  expect(shown.out).not.toContain("secret");
  const entries = await json<AuditEntry[]>(
    audited("--type", "conversation.deleted", "--by", "you", "--json"),
  );
  expect(entries).toMatchObject([{ id: deleted, by: { type: "user", id: "you" } }]);
  const [entry] = entries;
  const same = await json<AuditEntry[]>(audited("--command", entry?.command ?? "", "--json"));
  expect(same).toEqual(entries);
  const { out } = await audited("--actor", deleted);
  expect(out).toContain(`user you  conversation.deleted\n    conversation ${deleted} revision 3,`);
  expect(out).not.toContain("secret");
  const some = await audited("--limit", "2");
  expect(some.out.trim().split("\n")).toHaveLength(5);
  expect(some.out).toContain("… and more; --limit shows it.");
  const none = await audited("--tenant", "other");
  expect([none.code, none.out]).toEqual([0, "There is nothing of the kind.\n"]);
  for (const [words, sentence] of [
    [["--type", "conversation.deletd"], /did you mean conversation\.deleted\?/],
    [["--from", "yesterday"], /--from is a day or a time with its zone/],
    [["--limit", "0"], /--limit is a number from 1/],
    [["--actor", "x"], /--actor is a lowercase UUID/],
    [["--tnant", "x"], /did you mean --tenant\?/],
  ] as const) {
    const said = await audited(...words);
    expect(said.code).toBe(2);
    expect(said.err).toMatch(sentence);
  }
});

test("with nothing running both still answer, in processes of their own", async () => {
  await served.end("SIGTERM");
  running = false;
  const shown = await colloquy(["conversation", "show", id, "--at", "1"], { folder });
  expect([shown.code, shown.err]).toEqual([0, ""]);
  expect(shown.out).toContain("First title");
  const told = await colloquy(["audit", "--actor", deleted, "--json"], { folder });
  expect(told.code).toBe(0);
  expect(JSON.parse(told.out)).toHaveLength(2);
});

test("an answer's changed lines are shown, and what did not change is not", () => {
  const message: Message = {
    ...{ id: systemIds(), conversation: systemIds(), role: "assistant", text: "a\nb\nc" },
    ...{ parent: null, turn: null, model: "m", citations: [], status: "generating" },
    ...{
      createdAt: "2026-11-21T05:00:00.000Z",
      finish: null,
      usage: null,
      error: null,
      rating: null,
      revision: 4,
    },
  };
  const state = (revision: number, ...messages: Message[]): State => ({
    ...{ revision, at: "2026-11-21T05:00:00.000Z", conversation: null, messages },
  });
  const ref = { tenant: "acme", kind: "conversation", id: message.conversation } as const;
  const lines = (from: State, to: State): string[] =>
    differenceLines(ref, from, to, difference(from, to)).slice(1);
  const ended: Message = { ...message, status: "done", text: "a\nB\nc\nd" };
  expect(lines(state(4, message), state(5, ended))).toEqual([
    ...["", `~ assistant ${message.id}`, "    - b", "    - c", "    + B", "    + c", "    + d"],
    "    status     generating → done",
  ]);
  expect(lines(state(4, message), state(5, message))).toEqual(["  nothing changed"]);
  expect(lines(state(4, message), state(5))[1]).toMatch(/^- assistant/);
  expect(lines(state(3), state(4, message))[1]).toMatch(/^\+ assistant/);
});
