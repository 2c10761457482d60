/** What is decided of a program's request (`converse`): a conversation of one turn, which it ends. */
import { describe, expect, test } from "vitest";
import { call, cancelled, failed, published, when } from "./decisions.ts";

describe("a program's request", () => {
  const messages = [
    { role: "system", text: "be brief" },
    { role: "user", text: "hi" },
    { role: "assistant", text: "hello" },
    { role: "user", text: "and now?" },
  ] as const;
  const asked = when([], "converse", { messages: [...messages], sampling: { temperature: 0.5 } });

  test("begins with all that its client says was said, each message behind the one before", () => {
    expect(asked.said).toBe(
      `conversation.started ${"message.added ".repeat(messages.length)}turn.started`,
    );
    const [began, ...rest] = asked.events;
    expect(began?.data).toMatchObject({ origin: "api", request: { temperature: 0.5 } });
    const added = rest.flatMap(({ type, data }) => (type === "message.added" ? [data] : []));
    expect(added.map(({ role, text }) => ({ role, text }))).toEqual(messages);
    expect(added.map(({ parent }) => parent)).toEqual([
      null,
      ...added.slice(0, -1).map(({ message }) => message),
    ]);
    // The last message is named by the command, as that of a `send` is.
    expect(added.at(-1)?.message).toBe("new");
    expect(rest.at(-1)?.data).toMatchObject({ user: "new" });
  });

  test("is archived in the commit that ends its turn, however that ends", () => {
    const turn = asked.events.at(-1)?.data;
    if (turn === undefined || !("turn" in turn)) throw new Error("it has a turn");
    const of = { turn: turn.turn, attempt: 1 };
    const done = { ...published, finish: "stop", call, title: "T" } as const;
    expect(when(asked.events, "complete", { ...of, ...done }).said).toBe(
      "model.attempted turn.completed conversation.titled conversation.archived",
    );
    const ended = "conversation.archived";
    expect(when(asked.events, "cancel", {}).said).toBe(`${cancelled} ${ended}`);
    const lost = { ...of, ...published, code: "model_stream_cut", detail: "", call } as const;
    expect(when(asked.events, "fail", lost).said).toBe(`${failed} ${ended}`);
  });

  test("is a conversation like any other once it was taken out of the archive", () => {
    const history = [...asked.events];
    const turn = history.at(-1)?.data;
    if (turn === undefined || !("turn" in turn)) throw new Error("it has a turn");
    history.push(...when(history, "cancel", {}).events);
    history.push(...when(history, "update", { archived: false }).events);
    history.push(...when(history, "send", { text: "go on" }, { command: "again" }).events);
    expect(when(history, "cancel", {}).said).toBe(cancelled);
  });
});
