/** The AG-UI client, unchanged, against the real gateway: `HttpAgent`. */
import { HttpAgent, type Message } from "@ag-ui/client";
import { beforeAll, describe, expect, test } from "vitest";
import { systemIds } from "../../schemas/ids.ts";
import { pulse } from "../support/pulse.ts";
import { type Running, startRunning } from "./running.ts";

let running: Running;
beforeAll(async () => {
  running = await startRunning();
  return () => running.stop();
});

const user = (content: string): Message => ({ id: systemIds(), role: "user", content });
const said = ({ messages }: { messages: Message[] }): unknown[] =>
  messages.map(({ content }) => content);

interface Agent {
  readonly agent: HttpAgent;
  /** Names of the events, and what a custom one carried. */
  readonly events: readonly string[];
  until(holds: () => boolean): Promise<void>;
}
async function agentOf(
  threadId: string,
  messages: Message[],
  at = running.gateway,
): Promise<Agent> {
  const headers = { Authorization: `Bearer ${await running.token()}` };
  const url = `${at.url}/api/v1/ag-ui`;
  const agent = new HttpAgent({ url, headers, threadId, initialMessages: messages });
  const events: string[] = [];
  const news = pulse();
  agent.subscribe({
    onEvent({ event }) {
      events.push(event.type);
    },
    onCustomEvent({ event }) {
      events.push(`${event.name} ${JSON.stringify(event.value)}`);
    },
    onMessagesChanged: () => news.beat(),
  });
  return { agent, events, until: (holds) => news.until(holds) };
}
const path = "/api/v1/conversations";

describe("an agent of AG-UI", () => {
  test("runs, says what it cost, and its thread is a conversation like any other", async () => {
    const threadId = systemIds();
    const { agent, events } = await agentOf(threadId, [user("hello [[tokens:3]]")]);
    let usage: unknown;
    const { result, newMessages } = await agent.runAgent(
      { tools: [{ name: "dial", description: "", parameters: {} }] },
      {
        onRunFinishedEvent({ event }) {
          usage = event.usage;
        },
      },
    );
    expect(events[1]).toBe("CUSTOM");
    expect(events[2]).toBe('colloquy.ignored ["tools"]');
    expect([events[0], ...events.slice(-2)]).toEqual([
      ...["RUN_STARTED", "TEXT_MESSAGE_END", "RUN_FINISHED"],
    ]);
    const { body } = await running.http("GET", `${path}/${threadId}/messages`);
    const [answer] = newMessages;
    expect(body["items"]).toMatchObject([
      { role: "user", text: "hello [[tokens:3]]" },
      { role: "assistant", id: answer?.id, text: answer?.content },
    ]);
    expect(result).toEqual({ message: answer?.id, finish: "stop" });
    expect(usage).toEqual([expect.objectContaining({ model: "scripted", outputTokens: 3 })]);
    agent.addMessage(user("and on [[tokens:2]]"));
    await agent.runAgent();
    expect(running.world.provider.requests.at(-1)?.body.messages).toHaveLength(3);
    const listed = await running.http("GET", `${path}/${threadId}/messages`);
    expect(listed.body["items"]).toHaveLength(4);
  });

  test("I2, I6: the same run again is the same answer, whole, also after its end and elsewhere", async () => {
    const threadId = "a thread's own name";
    const question = user("Count to three");
    const { provider } = running.world;
    provider.script({ tokens: ["One ", "two ", "three"], gate: true });
    const left = await agentOf(threadId, [question]);
    const run = left.agent.runAgent({ runId: "first" });
    await provider.whenRequest(({ message }) => message === "Count to three");
    provider.release(1);
    await left.until(() => left.agent.messages[1]?.content === "One ");
    left.agent.abortRun();
    await run;
    // The same agent, which has a part of it, and a new one at another gateway.
    const elsewhere = await agentOf(threadId, [question], await running.another());
    const again = [left, elsewhere].map(({ agent }) => agent.runAgent({ runId: "first" }));
    await elsewhere.until(() => elsewhere.agent.messages[1]?.content === "One ");
    provider.release(2);
    await Promise.all(again);
    const whole = ["Count to three", "One two three"];
    expect([said(left.agent), said(elsewhere.agent)]).toEqual([whole, whole]);
    const late = await agentOf(threadId, [question]);
    await late.agent.runAgent({ runId: "first" });
    expect(said(late.agent)).toEqual(whole);
    const asked = provider.requests.filter(({ message }) => message === "Count to three");
    expect(asked).toHaveLength(1);
  });

  test("another run of the same message is another answer; a repeat of it is not", async () => {
    const threadId = systemIds();
    const question = user("Again");
    running.world.provider.script({ tokens: ["A1"] }, { tokens: ["A2"] }, { tokens: ["B1"] });
    const { agent } = await agentOf(threadId, [question]);
    await agent.runAgent();
    for (let times = 0; times < 2; times++) {
      agent.setMessages([question]);
      await agent.runAgent({ runId: "second" });
      expect(said(agent)).toEqual(["Again", "A2"]);
    }
    agent.addMessage(user("Behind it"));
    await agent.runAgent();
    const { body } = await running.http("GET", `${path}/${threadId}/messages`);
    expect(body["items"]).toMatchObject(
      ["Again", "A2", "Behind it", "B1"].map((text) => ({ text })),
    );
  });

  test("a failed run says its code, a cancelled one that it was, and nonsense is refused", async () => {
    const threadId = systemIds();
    const { provider } = running.world;
    provider.script({ fault: 400 });
    const { agent, until } = await agentOf(threadId, [user("fail")]);
    const errors: unknown[] = [];
    agent.subscribe({
      onRunErrorEvent({ event }) {
        errors.push(event.code, event.metadata);
      },
      onRunFinishedEvent({ outcome }) {
        errors.push(outcome);
      },
    });
    await agent.runAgent();
    expect(errors.splice(0)).toEqual(["model_refused", { retryable: false }]);
    provider.script({ tokens: ["One ", "two"], gate: true });
    agent.addMessage(user("stop me"));
    const run = agent.runAgent();
    await provider.whenRequest(({ message }) => message === "stop me");
    provider.release(1);
    await until(() => agent.messages.at(-1)?.content === "One ");
    await running.http("POST", `${path}/${threadId}/cancel`, { body: {} });
    await run;
    expect(errors).toEqual(["cancelled"]);
    const good = { threadId, runId: "r", messages: [user("hi")] };
    for (const bad of [
      {},
      { ...good, messages: [] },
      { ...good, messages: [{ id: "a", role: "assistant", content: "me first" }] },
      { ...good, messages: [{ id: "a", role: "user", content: [{ type: "image" }] }] },
      { ...good, resume: [{ interruptId: "i", status: "resolved" }] },
      { ...good, forwardedProps: { model: 7 } },
    ]) {
      const refused = await running.http("POST", "/api/v1/ag-ui", { body: bad });
      expect([refused.status, refused.body["code"]]).toEqual([400, "bad_request"]);
    }
    const foreign = await running.http("POST", "/api/v1/ag-ui", { body: good, user: "bob" });
    expect(foreign.status).toBe(404);
  });

  test("nothing of all this was a fault of the gateway", () => {
    expect(running.problems).toEqual([]);
  });
});
