/** One message of a conversation, at every address that else takes a list of messages. */
import { beforeAll, expect, test } from "vitest";
import { systemIds } from "../../schemas/ids.ts";
import { limits } from "../../schemas/limits.ts";
import { createGate } from "../support/model-server-gate.ts";
import { type ChatFrame, openChatStream } from "./chat-stream.ts";
import { type Running, startRunning } from "./running.ts";

let running: Running;
beforeAll(async () => {
  running = await startRunning();
  return () => running.stop();
});

const completions = ["/v1/chat/completions", "/api/v1/chat/completions"] as const;
const starts = ["/chat", "/api/v1/chat"] as const;
const streaming = "/api/v1/llm/chat/stream";

interface Item {
  readonly role: string;
  readonly text: string;
  readonly status: string;
}

async function messagesOf(id: string, user: string): Promise<readonly Item[]> {
  const { body } = await running.http("GET", `/api/v1/conversations/${id}/messages`, { user });
  return (body["items"] ?? []) as readonly Item[]; // a page of messages
}

async function post(path: string, user: string, body: object, signal?: AbortSignal) {
  return fetch(`${running.gateway.url}${path}`, {
    method: "POST",
    headers: {
      authorization: `Bearer ${await running.token(user)}`,
      "content-type": "application/json",
    },
    body: JSON.stringify(body),
    ...(signal === undefined ? {} : { signal }),
  });
}

/** The text that chunks of the OpenAI format carry. */
function textOf(chunks: string): string {
  const data = chunks.split("\n").flatMap((line) => (line.startsWith("data: {") ? [line] : []));
  return data
    .map((line) => {
      // What the server writes is what the test looks at.
      const chunk = JSON.parse(line.slice(6)) as { choices: { delta: { content?: string } }[] };
      return chunk.choices[0]?.delta.content ?? "";
    })
    .join("");
}

test("a conversation begins with its first message and goes on with the next, whole or streamed", async () => {
  const user = "writer";
  const { provider } = running.world;
  const id = systemIds();
  provider.script({ tokens: ["first ", "answer"] });
  const brief = { conversation_id: id, message: "one", model: "scripted" };
  const whole = await post(completions[0], user, { ...brief, stream: false });
  expect(whole.status).toBe(200);
  expect(await whole.json()).toMatchObject({
    ...{ id: `chatcmpl-${id}`, object: "chat.completion" },
    choices: [{ message: { role: "assistant", content: "first answer" }, finish_reason: "stop" }],
  });
  for (const [n, path] of [...completions, streaming].entries()) {
    provider.script({ tokens: [`${n} `, "streamed"] });
    const said = { conversation_id: id, message: `to ${path}` };
    const streamed = await post(path, user, said);
    expect(streamed.headers.get("content-type")).toContain("text/event-stream");
    const text = await streamed.text();
    expect([textOf(text), text.endsWith("data: [DONE]\n\n")]).toEqual([`${n} streamed`, true]);
  }
  const items = await messagesOf(id, user);
  expect(items.map(({ role, text }) => [role, text])).toEqual([
    ...[
      ["user", "one"],
      ["assistant", "first answer"],
    ],
    ...[...completions, streaming].flatMap((path, n) => [
      ["user", `to ${path}`],
      ["assistant", `${n} streamed`],
    ]),
  ]);
  // The model was told what had been said before.
  expect(provider.requests.at(-1)?.body.messages.length).toBeGreaterThan(items.length - 3);
  const listed = await running.http("GET", "/api/v1/conversations", { user });
  expect(JSON.stringify(listed.body)).toContain(id);
});

test("the streaming address also takes a list, and streams whatever it is asked", async () => {
  running.world.provider.script({ tokens: ["of ", "a list"] });
  const messages = [{ role: "user", content: "hello" }];
  const streamed = await post(streaming, "lister", { messages, stream: false });
  expect(textOf(await streamed.text())).toBe("of a list");
});

test.each(starts)("I6: %s begins the next turn, which is read from any gateway", async (path) => {
  const user = "starter";
  const { provider } = running.world;
  const id = systemIds();
  const begin = async (message: string): Promise<string> => {
    const { status, body } = await running.http("POST", path, {
      user,
      body: { conversation_id: id, message },
    });
    expect(status).toBe(202);
    return String(body["stream_session_id"]);
  };
  const frames = async (session: string, query = "", at = running.gateway, as = user) => {
    const token = await running.token(as);
    return openChatStream(at.url, `/chat/stream/${session}${query}`, token);
  };
  const text = (all: readonly ChatFrame[]): string =>
    all.flatMap((one) => (one.type === "token" ? [one.content] : [])).join("");
  const gate = createGate();
  provider.script({ tokens: ["one ", "two"], gate }, { tokens: ["three ", "four"] });
  const first = await begin("begin");
  // It waits until the first has ended, and is told nothing of that one.
  const second = await begin("go on");
  const reader = await frames(second);
  gate.release(Infinity);
  expect(await reader.closed).toBe(1000);
  expect(text(reader.frames)).toBe("three four");
  const early = await frames(first);
  expect(await early.closed).toBe(1000);
  expect(text(early.frames)).toBe("one two");
  const rest = await frames(second, `?last_token_seq=${reader.seqs().at(-1) ?? 0}`);
  expect([await rest.closed, text(rest.frames)]).toEqual([1000, ""]);
  // I10: a place in the log may be anybody's.
  const [, sequence = ""] = second.split(".");
  const other = systemIds();
  await running.http("POST", path, {
    user: "thief",
    body: { conversation_id: other, message: "x" },
  });
  for (const [session, as] of [
    [second, "thief"],
    [`${other}.${sequence}`, "thief"],
    [`${id}.999999999`, user],
  ] as const) {
    const refused = await frames(session, "", running.gateway, as);
    await refused.closed.catch(() => undefined);
    expect(text(refused.frames)).toBe("");
  }
});

test("I10: a stranger's conversation is not found, at any address", async () => {
  const id = systemIds();
  const made = await running.http("POST", "/api/v1/conversations", { user: "owner", body: { id } });
  expect(made.status).toBe(201);
  for (const path of [...completions, ...starts, streaming]) {
    const answer = await post(path, "stranger", { conversation_id: id, message: "let me in" });
    expect([path, answer.status]).toEqual([path, 404]);
    expect(await answer.text()).toContain("not_found");
  }
  expect(await messagesOf(id, "owner")).toEqual([]);
});

test("contradictions and halves are refused with a code, at every address", async () => {
  const conversation_id = systemIds();
  const messages = [{ role: "user", content: "hello" }];
  const long = "x".repeat(limits.text_chars_max + 1);
  const wrong: [object, number, string][] = [
    [{ conversation_id, message: "both", messages }, 400, "bad_request"],
    [{ message: "both", messages }, 400, "bad_request"],
    [{ conversation_id, messages }, 400, "bad_request"],
    [{ conversation_id }, 400, "bad_request"],
    [{ conversation_id, message: "" }, 400, "bad_request"],
    [{ message: "alone" }, 400, "bad_request"],
    [{ conversation_id: "no uuid", message: "x" }, 400, "bad_request"],
    [{}, 400, "bad_request"],
    [{ conversation_id, message: long }, 413, "text_too_long"],
    [{ conversation_id, message: "x", temperature: 1 }, 400, "unsupported_parameter"],
    [{ conversation_id, message: "x", model: "unknown" }, 404, "model_not_found"],
  ];
  for (const path of [...completions, ...starts, streaming]) {
    for (const [body, status, code] of wrong) {
      const answer = await post(path, "unclear", body);
      const text = await answer.text();
      expect([path, body, answer.status]).toEqual([path, body, status]);
      expect(text).toContain(`"${code}"`);
    }
  }
  const { status } = await running.http("GET", `/api/v1/conversations/${conversation_id}`, {
    user: "unclear",
  });
  expect(status).toBe(404);
});

test("whoever closes the request wants that answer no more, and no other", async () => {
  const user = "closer";
  const { provider } = running.world;
  const id = systemIds();
  const gate = createGate();
  provider.script({ tokens: ["begun ", "never read"], gate });
  const gone = new AbortController();
  gate.release(1);
  const asked = { conversation_id: id, message: "wait" };
  const answer = await post(completions[0], user, asked, gone.signal);
  expect(answer.status).toBe(200);
  gone.abort();
  const last = async (): Promise<unknown> => (await messagesOf(id, user)).at(-1)?.status;
  await expect.poll(last).toBe("cancelled");
  provider.script({ tokens: ["next ", "answer"] });
  const next = await post(completions[0], user, { conversation_id: id, message: "again" });
  expect(textOf(await next.text())).toBe("next answer");
});
