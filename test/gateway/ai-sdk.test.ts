/** The Vercel AI SDK, unchanged, against the real gateway: its `Chat` and `DefaultChatTransport`. */
import { beforeAll, describe, expect, test } from "vitest";
import { type ChatMessage, type Talk, textOf, useChat } from "./use-chat.ts";
import { type Running, startRunning } from "./running.ts";

let running: Running;
beforeAll(async () => {
  running = await startRunning();
  return () => running.stop();
});

const chats = "/api/v1/ai/chat";
const opened = async (options: Partial<Parameters<typeof useChat>[0]> = {}): Promise<Talk> =>
  useChat({ url: running.gateway.url, token: await running.token(), ...options });
const texts = ({ chat }: Talk): string[] => chat.messages.map(textOf);
/** What a page begins with. */
async function history(id: string): Promise<ChatMessage[]> {
  const { body } = await running.http("GET", `${chats}/${encodeURIComponent(id)}/messages`);
  return body["items"] as ChatMessage[]; // as the SDK's, which the tests below hold
}
async function conversationOf({ chat }: Talk): Promise<string> {
  return chat.messages.at(-1)?.metadata?.conversation ?? "";
}

describe("a chat of the AI SDK", () => {
  test("sends, streams, knows what it cost, and is a conversation like any other", async () => {
    const talk = await opened();
    running.world.provider.script({ tokens: ["One ", "two"], gate: true });
    const sent = talk.chat.sendMessage({ text: "Count to two" });
    await running.world.provider.whenRequest(({ message }) => message === "Count to two");
    running.world.provider.release(1);
    await talk.until(({ messages }) => textOf(messages[1]) === "One ");
    expect(talk.chat.status).toBe("streaming");
    running.world.provider.release(1);
    await sent;
    expect(talk.errors).toEqual([]);
    expect([talk.chat.status, ...texts(talk)]).toEqual(["ready", "Count to two", "One two"]);
    const answer = talk.chat.messages[1];
    const id = await conversationOf(talk);
    const { body } = await running.http("GET", `/api/v1/conversations/${id}/messages`);
    expect(body["items"]).toMatchObject([
      { role: "user", text: "Count to two" },
      { id: answer?.id, turn: answer?.metadata?.turn, usage: answer?.metadata?.usage },
    ]);
    // Read models of this conversation are this far now.
    const listed = await running.http("GET", "/api/v1/conversations");
    expect(listed.body["items"]).toMatchObject([{ id, origin: "chat" }]);
    expect(answer?.metadata).toMatchObject({ model: "scripted", finish: "stop" });
    expect((await history(talk.chat.id)).map(textOf)).toEqual(["Count to two", "One two"]);
  });

  test("I2: a message that is sent twice is asked once", async () => {
    const body = {
      ...{ id: "twice", trigger: "submit-message" },
      messages: [{ id: "m1", role: "user", parts: [{ type: "text", text: "once [[tokens:2]]" }] }],
    };
    const post = async (): Promise<string> => {
      const answer = await fetch(`${running.gateway.url}${chats}`, {
        ...{ method: "POST", body: JSON.stringify(body) },
        headers: {
          ...{ authorization: `Bearer ${await running.token()}` },
          ...{ "content-type": "application/json" },
        },
      });
      expect(answer.headers.get("x-vercel-ai-ui-message-stream")).toBe("v1");
      return answer.text();
    };
    const [one, two] = await Promise.all([post(), post()]);
    const deltas = (text: string): string =>
      [...text.matchAll(/"delta":"([^"]*)"/g)].map(([, delta = ""]) => delta).join("");
    expect([deltas(one), deltas(two)]).toEqual([deltas(one), deltas(one)]);
    expect(deltas(await post())).toBe(deltas(one));
    expect(await history("twice")).toHaveLength(2);
  });

  test("I6: a page left in mid-answer reads the whole of it after a reload, at another gateway", async () => {
    const first = await opened({ id: "left" });
    running.world.provider.script({ tokens: ["One ", "two ", "three"], gate: true });
    const sent = first.chat.sendMessage({ text: "Count to three" });
    await running.world.provider.whenRequest(({ message }) => message === "Count to three");
    running.world.provider.release(1);
    await first.until(({ messages }) => textOf(messages[1]) === "One ");
    await first.chat.stop();
    await sent;
    const messages = await history("left");
    expect(messages.map(textOf)).toEqual(["Count to three"]);
    const other = await running.another();
    const second = await opened({ id: "left", messages, url: other.url });
    const resumed = second.chat.resumeStream();
    await second.until((chat) => textOf(chat.messages[1]) === "One ");
    running.world.provider.release(2);
    await resumed;
    expect(texts(second)).toEqual(["Count to three", "One two three"]);
    // The page that was left has a part of it; it is made whole, not longer.
    expect(texts(first)).toEqual(["Count to three", "One "]);
    expect((await history("left")).map(textOf)).toEqual(["Count to three", "One two three"]);
    await second.chat.resumeStream();
    expect([second.chat.status, ...second.errors]).toEqual(["ready"]);
  });

  test("a page that looked just before the end is told the answer that it lacks", async () => {
    const talk = await opened({ id: "late" });
    await talk.chat.sendMessage({ text: "late [[tokens:3]]" });
    const [user, answer] = talk.chat.messages;
    const get = (last: string) =>
      running.http("GET", `${chats}/late/stream?last=${last}`).then(
        ({ status }) => status,
        // A stream is no JSON.
        () => 200,
      );
    const [stored] = await history("late");
    expect(await get(answer?.id ?? "")).toBe(204);
    expect(await get(stored?.id ?? "")).toBe(200);
    expect(textOf(user)).toBe("late [[tokens:3]]");
  });

  test("I6: a stream that was lost is read to its end later, once, though nothing runs", async () => {
    const talk = await opened({ id: "lost" });
    const { provider } = running.world;
    provider.script({ tokens: ["One ", "two"], gate: true });
    const sent = talk.chat.sendMessage({ text: "Lose me" });
    await provider.whenRequest(({ message }) => message === "Lose me");
    provider.release(1);
    await talk.until(({ messages }) => textOf(messages[1]) === "One ");
    const watcher = await running.connect();
    await watcher.ask({ type: "subscribe", conversation: await conversationOf(talk) });
    await talk.chat.stop();
    await sent;
    provider.release(1);
    await watcher.next("end");
    await talk.chat.resumeStream();
    expect(texts(talk)).toEqual(["Lose me", "One two"]);
    const again = async (): Promise<number> =>
      (await running.http("GET", `${chats}/lost/stream`)).status;
    expect(await again()).toBe(204);
  });

  test("stop only detaches; cancel ends the answer for everybody", async () => {
    const talk = await opened({ id: "stopped" });
    running.world.provider.script({ tokens: ["One ", "two"], gate: true });
    void talk.chat.sendMessage({ text: "Go on" });
    await running.world.provider.whenRequest(({ message }) => message === "Go on");
    running.world.provider.release(1);
    await talk.until(({ messages }) => textOf(messages[1]) === "One ");
    await talk.chat.stop();
    const resumed = talk.chat.resumeStream();
    await talk.until(({ status }) => status === "streaming");
    const cancelled = await running.http("POST", `${chats}/stopped/cancel`, { body: {} });
    expect(cancelled.status).toBe(202);
    await resumed;
    expect([talk.chat.status, ...talk.errors]).toEqual(["ready"]);
    expect(talk.chat.messages[1]?.metadata).toMatchObject({ finish: "cancelled" });
    expect(texts(talk)).toEqual(["Go on", "One "]);
  });

  test("another answer, an edit, and then words behind them stay on the branch that is seen", async () => {
    const talk = await opened({ id: "branches" });
    const script = (...answers: string[]): void =>
      running.world.provider.script(...answers.map((text) => ({ tokens: [text] })));
    script("A1", "A2", "B1", "B2", "C1", "D1");
    await talk.chat.sendMessage({ text: "a" });
    await talk.chat.regenerate();
    expect(texts(talk)).toEqual(["a", "A2"]);
    const user = talk.chat.messages[0]?.id ?? "";
    await talk.chat.sendMessage({ text: "b", messageId: user });
    expect(texts(talk)).toEqual(["b", "B1"]);
    await talk.chat.regenerate({ messageId: user });
    expect(texts(talk)).toEqual(["b", "B2"]);
    await talk.chat.sendMessage({ text: "c" });
    expect(texts(talk)).toEqual(["b", "B2", "c", "C1"]);
    expect(talk.errors).toEqual([]);
    const messages = await history("branches");
    expect(messages.map(textOf)).toEqual(["b", "B2", "c", "C1"]);
    // A page that begins with that history edits its first message, too.
    const reloaded = await opened({ id: "branches", messages });
    await reloaded.chat.sendMessage({ text: "d", messageId: messages[0]?.id ?? "" });
    expect(texts(reloaded)).toEqual(["d", "D1"]);
    expect((await history("branches")).map(textOf)).toEqual(["d", "D1"]);
    const asked = running.world.provider.requests.slice(-2);
    expect(asked.map(({ body }) => body.messages.map(({ content }) => content))).toEqual([
      ["b", "B2", "c"],
      ["d"],
    ]);
  });

  test("a failed answer says its code, and may be asked for again", async () => {
    const talk = await opened({ id: "failed" });
    running.world.provider.script({ fault: 400 }, { tokens: ["better"] });
    await talk.chat.sendMessage({ text: "fail" });
    expect(talk.chat.status).toBe("error");
    expect(talk.errors).toEqual([expect.stringMatching(/^model_refused: /)]);
    expect(talk.chat.messages.at(-1)?.metadata?.error).toMatchObject({ code: "model_refused" });
    await talk.chat.regenerate();
    expect([talk.chat.status, ...texts(talk)]).toEqual(["ready", "fail", "better"]);
  });

  test("I10: a chat's name is its user's own, and another's conversation is nobody else's", async () => {
    const talk = await opened({ id: "private" });
    await talk.chat.sendMessage({ text: "mine [[tokens:1]]" });
    const id = await conversationOf(talk);
    const bobs = await opened({ id: "private", token: await running.token("bob") });
    await bobs.chat.sendMessage({ text: "bob's [[tokens:1]]" });
    expect(await conversationOf(bobs)).not.toBe(id);
    expect(textOf((await history("private"))[0])).toBe("mine [[tokens:1]]");
    const user = "bob";
    const list = await running.http("GET", `${chats}/${id}/messages`, { user });
    expect([list.status, list.body["items"]]).toEqual([200, []]);
    expect((await running.http("GET", `${chats}/${id}/stream?last=`, { user })).status).toBe(204);
    const post = { id, message: { role: "user", parts: [{ type: "text", text: "let me in" }] } };
    const refused = [
      await running.http("POST", chats, { user, body: post }),
      await running.http("POST", `${chats}/${id}/cancel`, { user }),
    ];
    expect(refused.map(({ status }) => status)).toEqual([404, 404]);
  });

  test("a history as long as it may be is taken, and what is no question is refused", async () => {
    const part = (text: string) => ({ parts: [{ type: "text", text }] });
    const long = Array.from({ length: 60 }, (_, at) => ({
      ...{ id: `m${at}`, role: at % 2 === 0 ? "user" : "assistant" },
      ...part("x".repeat(60_000)),
    }));
    const last = { id: "m", role: "user", ...part("long [[tokens:1]]") };
    const headers = {
      ...{ authorization: `Bearer ${await running.token()}` },
      ...{ "content-type": "application/json" },
    };
    const post = (body: object) =>
      fetch(`${running.gateway.url}${chats}`, {
        ...{ method: "POST", headers, body: JSON.stringify(body) },
      });
    const taken = await post({ id: "long", messages: [...long, last] });
    expect([taken.status, await taken.text()]).toEqual([200, expect.stringContaining("finish")]);
    expect(running.world.provider.requests.at(-1)?.body.messages).toHaveLength(1);
    const file = { type: "file", mediaType: "image/png", url: "data:," };
    const wrong: readonly (readonly [object, string])[] = [
      [{ id: "w" }, "bad_request"],
      [{ id: "w", messages: [] }, "bad_request"],
      [{ id: "w", messages: [last, { role: "assistant", ...part("no") }] }, "bad_request"],
      [{ id: "w", messages: [{ role: "user", ...part("") }] }, "bad_request"],
      [{ id: "w", messages: [{ role: "user", parts: [file] }] }, "bad_request"],
      [{ id: "w", messages: [last], trigger: "nonsense" }, "bad_request"],
      [{ id: "w", messages: [last], model: "unknown" }, "model_not_found"],
      [{ id: "w", messages: [{ ...last, ...part("x".repeat(60_001)) }] }, "text_too_long"],
      [{ id: "w", messages: [...long, ...long, last] }, "too_large"],
    ];
    for (const [body, code] of wrong) {
      const answer = await post(body);
      expect([answer.status < 500, await answer.json()]).toMatchObject([true, { code }]);
    }
  });

  test("nothing of all this was a fault of the gateway", () => {
    expect(running.problems).toEqual([]);
  });
});
