/**
 * A worker dies while the AI SDK and AG-UI read. Before the first word nobody notices; behind it the
 * stream ends with the protocol's own error, and who asks again has the whole of the right answer.
 */
import { HttpAgent } from "@ag-ui/client";
import { beforeAll, expect, test } from "vitest";
import { createGate, type Gate } from "../support/model-server-gate.ts";
import { pulse } from "../support/pulse.ts";
import { type Running, startRunning } from "./running.ts";
import { textOf, useChat } from "./use-chat.ts";

let running: Running;
beforeAll(async () => {
  running = await startRunning();
  return () => running.stop();
});

/** The provider has the question, and has answered so many words of what will be void. */
async function asked(question: string, words: number): Promise<void> {
  const { provider } = running.world;
  await provider.whenRequest(({ message }) => message === question);
  gates.get(question)?.release(words);
}
const gates = new Map<string, Gate>();
function script(question: string): void {
  const gate = createGate();
  gates.set(question, gate);
  running.world.provider.script({ tokens: ["void ", "words"], gate });
}
/** What the provider says when it is asked the second time. */
const whole = (question: string): string =>
  [1, 2, 3, 4, 5].map((n) => `${n}:${question}`).join(" ");

test("I5: an answer that begins anew is never read twice, and is read whole in the end", async () => {
  const { url } = running.gateway;
  const token = await running.token();
  const chatOf = (id: string) => useChat({ url, token, id });
  const news = pulse();
  const agentOf = (content: string): HttpAgent => {
    const agent = new HttpAgent({
      url: `${url}/api/v1/ag-ui`,
      headers: { Authorization: `Bearer ${token}` },
      initialMessages: [{ id: "m", role: "user", content }],
    });
    agent.subscribe({ onMessagesChanged: () => news.beat() });
    return agent;
  };
  const [silentChat, spokenChat] = [chatOf("silent"), chatOf("spoken")];
  const [silentAgent, spokenAgent] = [agentOf("silent-agent"), agentOf("spoken-agent")];
  const errors: unknown[] = [];
  spokenAgent.subscribe({
    onRunErrorEvent({ event }) {
      errors.push(event.code, event.metadata);
    },
  });
  const runs: Promise<unknown>[] = [];
  const begin = async (question: string, words: number, run: () => Promise<unknown>) => {
    script(question);
    runs.push(run());
    await asked(question, words);
  };
  await begin("silent", 0, () => silentChat.chat.sendMessage({ text: "silent" }));
  await begin("silent-agent", 0, () => silentAgent.runAgent());
  await begin("spoken", 1, () => spokenChat.chat.sendMessage({ text: "spoken" }));
  await begin("spoken-agent", 1, () => spokenAgent.runAgent({ runId: "r" }));
  await spokenChat.until(({ messages }) => textOf(messages[1]) === "void ");
  await news.until(() => spokenAgent.messages[1]?.content === "void ");

  await running.worker.crash();
  await running.world.worker();
  await Promise.all(runs);

  expect([silentChat.chat.status, ...silentChat.errors]).toEqual(["ready"]);
  expect(textOf(silentChat.chat.messages[1])).toBe(whole("silent"));
  expect(silentAgent.messages[1]?.content).toBe(whole("silent-agent"));
  expect(spokenChat.errors).toEqual([expect.stringMatching(/^turn_restarted: /)]);
  expect(spokenChat.chat.messages[1]?.metadata?.error).toMatchObject({
    ...{ code: "turn_restarted", retryable: true },
  });
  expect(errors).toEqual(["turn_restarted", { retryable: true }]);
  for (const content of [textOf(spokenChat.chat.messages[1]), spokenAgent.messages[1]?.content]) {
    expect(content).toBe("void ");
  }

  await Promise.all([spokenChat.chat.resumeStream(), spokenAgent.runAgent({ runId: "r" })]);
  expect(spokenChat.chat.messages.map(textOf)).toEqual(["spoken", whole("spoken")]);
  expect(spokenChat.chat.messages[1]?.metadata).toMatchObject({ finish: "stop" });
  expect(spokenAgent.messages.map(({ content }) => content)).toEqual([
    ...["spoken-agent", whole("spoken-agent")],
  ]);
  // Another gateway, and another page, long after its end.
  const elsewhere = useChat({ url: (await running.another()).url, token, id: "spoken" });
  await elsewhere.chat.resumeStream();
  expect(elsewhere.chat.messages.map(textOf)).toEqual([whole("spoken")]);
});
