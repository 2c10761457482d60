/** What a turn becomes in the words of the AI SDK and of AG-UI, as those packages read it. */
import { HttpAgent } from "@ag-ui/client";
import { DefaultChatTransport, readUIMessageStream, type UIMessage } from "ai";
import fc from "fast-check";
import { expect, test } from "vitest";
import { agUiEncoder } from "../../gateway/ag-ui/events.ts";
import { uiEncoder } from "../../gateway/ai-sdk/chunks.ts";
import { Cursor, start_position } from "../../gateway/live/cursor.ts";
import type { TurnEncoder } from "../../gateway/turns/turn-answer.ts";
import { script, type TurnScript, uuid } from "./conversation-script.ts";

const conversation = uuid(1);
const texts = fc.array(fc.string({ minLength: 1, maxLength: 4 }), { maxLength: 5 });
const turn: fc.Arbitrary<TurnScript> = fc.record({
  attempts: fc.array(texts, { minLength: 1, maxLength: 3 }),
  checkpointEvery: fc.integer({ min: 1, max: 5 }),
  end: fc.constantFrom("completed", "cancelled", "failed"),
});

/** The whole stream of the second turn of a conversation, as it is seen live. */
function stream(of: TurnScript, encoderOf: (turn: string) => TurnEncoder): string {
  const before: TurnScript = { attempts: [["before"]], checkpointEvery: 9, end: "completed" };
  const items = script("acme", conversation, [before, of]);
  const started = items.flatMap((item) =>
    "commit" in item
      ? item.commit.events.flatMap(({ type, data }) => (type === "turn.started" ? [data.turn] : []))
      : [],
  );
  const encoder = encoderOf(started.at(-1) ?? "");
  const cursor = new Cursor(conversation, start_position);
  let written = "";
  for (const item of items) {
    if ("commit" in item) cursor.commit(item.commit);
    else cursor.frame(item.frame);
    for (const frame of cursor.take()) {
      if (encoder.done !== true) written += encoder.push(frame, start_position);
    }
  }
  return written + encoder.ended(null);
}

/** What a client may be told: the first attempt with a word, and whether that one was the last. */
function told({ attempts, end }: TurnScript): { text: string; end: string } {
  const spoken = attempts.findIndex((pieces) => pieces.length > 0);
  const whole = spoken < 0 || spoken === attempts.length - 1;
  return { text: (attempts[spoken] ?? []).join(""), end: whole ? end : "void" };
}

const answering = (body: string) => async (): Promise<Response> =>
  new Response(body, { headers: { "content-type": "text/event-stream" } });

test("I5: the AI SDK reads every turn without a word twice, and how it ended", async () => {
  await fc.assert(
    fc.asyncProperty(turn, async (of) => {
      const body = stream(of, (id) => uiEncoder(conversation, id, () => {}));
      expect(body.endsWith("data: [DONE]\n\n")).toBe(true);
      const transport = new DefaultChatTransport({ fetch: answering(body) });
      const chunks = await transport.sendMessages({
        ...{ chatId: "a", messages: [], messageId: undefined, abortSignal: undefined },
        trigger: "submit-message",
      });
      const [own, other] = chunks.tee();
      let failure = "";
      let read: UIMessage | undefined;
      const onError = (error: unknown): void => {
        failure = error instanceof Error ? error.message : String(error);
      };
      for await (const message of readUIMessageStream({ stream: own, onError })) read = message;
      const types: string[] = [];
      for await (const { type } of other) types.push(type);
      const want = told(of);
      const [part] = read?.parts ?? [];
      expect(part?.type === "text" ? part.text : "").toBe(want.text);
      const last = { completed: "finish", cancelled: "abort", failed: "error", void: "error" };
      expect(types.at(-1)).toBe(last[want.end as keyof typeof last]); // `told` gives these
      if (want.end === "void") expect(failure).toMatch(/^turn_restarted: /);
      if (want.end === "completed") expect(failure).toBe("");
    }),
    { numRuns: 60 },
  );
});

test("I5: AG-UI's client reads every turn without a word twice, and how it ended", async () => {
  await fc.assert(
    fc.asyncProperty(turn, async (of) => {
      const run = { threadId: "t", runId: "r", conversation, messages: [], ignored: ["tools"] };
      const body = stream(of, (id) => agUiEncoder(run, id));
      const agent = new HttpAgent({ url: "http://unused.invalid", fetch: answering(body) });
      let end = "nothing";
      const { newMessages } = await agent.runAgent(
        { runId: "r" },
        {
          onRunFinishedEvent: ({ outcome }) => {
            end = outcome === "success" ? "completed" : outcome;
          },
          onRunErrorEvent({ event }) {
            end = event.code === "turn_restarted" ? "void" : "failed";
          },
        },
      );
      const want = told(of);
      const [message] = newMessages;
      expect({ text: message?.content ?? "", end }).toEqual(want);
    }),
    { numRuns: 60 },
  );
});
