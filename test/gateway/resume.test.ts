/**
 * Going on behind a cursor when the frames of the answer are kept no longer: by every transport that
 * has a cursor, at a gateway that never saw the answer, so that only the log can tell the rest (I6).
 */
import { beforeAll, describe, expect, test } from "vitest";
import type { Gateway } from "../../gateway/server.ts";
import type { TokenOut } from "../../schemas/frames.ts";
import { systemIds } from "../../schemas/ids.ts";
import { limits } from "../../schemas/limits.ts";
import { serverFrames } from "../../schemas/server-frames.ts";
import { tokenSubject } from "../../schemas/subjects.ts";
import type { TokenFrame } from "../../schemas/tokens.ts";
import { check } from "../../schemas/validate.ts";
import { openChatStream } from "./chat-stream.ts";
import type { Foreign } from "./foreign.ts";
import { type Running, startRunning } from "./running.ts";
import { openSse } from "./sse-client.ts";

const token = check(serverFrames.token);
const isToken = (data: unknown): data is TokenOut => token.is(data);

let running: Running;
beforeAll(async () => {
  running = await startRunning();
  return () => running.stop();
});

/** What a reader has been told when its connection is lost. */
interface Place {
  readonly revision: number;
  readonly turn: string;
  readonly attempt: number;
  readonly seq: number;
}

/** What comes after it. */
interface Rest {
  readonly tokens: () => readonly TokenOut[];
  /** Resolves when the tokens hold; fails when it ends before. */
  until(holds: (tokens: readonly TokenOut[]) => boolean): Promise<void>;
  readonly ended: Promise<unknown>;
}

type Transport = (at: Gateway, conversation: string, place: Place) => Promise<Rest>;

const transports: Readonly<Record<string, Transport>> = {
  async "WebSocket after"(at, conversation, after) {
    const client = await running.connect({ at });
    client.send({ type: "subscribe", id: systemIds(), conversation, after });
    const tokens = () => client.frames.filter((one) => one.type === "token");
    const until: Rest["until"] = (holds) => client.until(() => holds(tokens()));
    return { tokens, until, ended: client.next("end") };
  },
  async "SSE Last-Event-ID"(at, conversation, { revision, turn, attempt, seq }) {
    const stream = await openSse(`${at.url}/api/v1/conversations/${conversation}/messages`, {
      headers: {
        authorization: `Bearer ${await running.token()}`,
        "last-event-id": `${revision}.${turn}.${attempt}.${seq}`,
      },
    });
    const tokens = () => stream.messages.map(({ data }): unknown => data).filter(isToken);
    const until: Rest["until"] = (holds) => stream.until(() => holds(tokens()));
    return { tokens, until, ended: stream.ended };
  },
  async "WebSocket last_token_seq"(at, conversation, { attempt, seq }) {
    const path = `/chat/stream/${conversation}?last_token_seq=${seq}&attempt=${attempt}`;
    const { frames, closed, until } = openChatStream(at.url, path, await running.token());
    const tokens = () => frames.filter((one) => one.type === "token");
    return { tokens, until: (holds) => until(() => holds(tokens())), ended: closed };
  },
};
const names = Object.keys(transports);
/** By all transports at once, each at a gateway of its own that has not seen the answer. */
const resumeAll = (conversation: string, place: Place): Promise<Rest[]> =>
  Promise.all(
    Object.values(transports).map(async (open) =>
      open(await running.another(), conversation, place),
    ),
  );

/** As `seq:text`, or `first-seq:text` of a merged frame. */
const told = (tokens: readonly TokenOut[]): string[] =>
  tokens.map(
    ({ from, seq, content }) => `${from === undefined ? "" : `${from}-`}${seq}:${content}`,
  );
/** The text behind `after`; throws when a frame is missing or twice. */
function textBehind(tokens: readonly TokenOut[], after: number): string {
  let seq = after;
  return tokens
    .map((frame) => {
      expect(frame.from ?? frame.seq, told(tokens).join(" ")).toBe(seq + 1);
      seq = frame.seq;
      return frame.content;
    })
    .join("");
}

/** Begins an answer of these words, each a frame of its own, as far as the first `count`. */
async function begin(words: readonly string[], count: number) {
  const { provider } = running.world;
  const conversation = systemIds();
  const client = await running.connect();
  provider.script({ tokens: words, gate: true });
  await client.ask({ type: "send", conversation, text: "Tell me." });
  const started = await client.next(
    (one) => one.type === "event" && one.event.type === "turn.started",
  );
  const turn = started.type === "event" ? String(started.event["turn"]) : "";
  for (let seq = 1; seq <= count; seq++) await release(client, seq);
  return { client, conversation, turn };
}
/** The next word, and no other: it has been told before the one after it is written. */
async function release(client: Foreign, seq: number): Promise<void> {
  running.world.provider.release(1);
  await client.next((one) => one.type === "token" && one.seq === seq);
}
const here = (client: Foreign, conversation: string, turn: string, seq: number): Place => ({
  ...{ revision: client.revisions(conversation).length, turn, attempt: 1, seq },
});

/** All live tokens are lost, once the last one of this conversation is there to be lost. */
async function loseTokens(conversation: string, attempt: number, seq: number): Promise<void> {
  const { jsm } = running.world.system.streams;
  const last_by_subj = tokenSubject({ tenant: "acme", kind: "conversation", id: conversation });
  await expect
    .poll(async () => {
      const stored = await jsm.streams.getMessage("TOKENS", { last_by_subj });
      const { a, s } = stored?.json<TokenFrame>() ?? {};
      return [a, s];
    })
    .toEqual([attempt, seq]);
  await jsm.streams.purge("TOKENS");
}

const words = ["one ", "two ", "three ", "four ", "five ", "six"];

describe("where the frames are kept no longer", () => {
  test("I6: the rest of an answer that has ended comes as one merged frame", async () => {
    const { client, conversation, turn } = await begin(words, 2);
    const place = here(client, conversation, turn, 2);
    for (let seq = 3; seq <= 6; seq++) await release(client, seq);
    await client.next("end");
    await loseTokens(conversation, 1, 6);
    const rests = await resumeAll(conversation, place);
    for (const [index, { tokens, ended }] of rests.entries()) {
      await ended;
      expect(told(tokens()), names[index]).toEqual(["3-6:three four five six"]);
    }
  });

  test("I6: of one that is being written, its checkpoint tells what was lost, then it goes on", async () => {
    const long = "x".repeat(limits.checkpoint_chars_max);
    const { client, conversation, turn } = await begin(["one ", "two ", long, "four ", "five"], 1);
    const place = here(client, conversation, turn, 1);
    for (const seq of [2, 3]) await release(client, seq);
    await loseTokens(conversation, 1, 3);
    const rests = await resumeAll(conversation, place);
    // So much text is checkpointed as soon as more follows.
    for (const seq of [4, 5]) {
      await release(client, seq);
      for (const { until } of rests) await until((tokens) => tokens.at(-1)?.seq === seq);
    }
    for (const [index, { tokens, ended }] of rests.entries()) {
      await ended;
      expect(told(tokens()), names[index]).toEqual([`2-3:two ${long}`, "4:four ", "5:five"]);
    }
  });

  test("I6: of one that has no checkpoint yet, what was lost comes before what follows it", async () => {
    const { client, conversation, turn } = await begin(words, 1);
    const place = here(client, conversation, turn, 1);
    for (const seq of [2, 3, 4]) await release(client, seq);
    await loseTokens(conversation, 1, 4);
    const rests = await resumeAll(conversation, place);
    for (const seq of [5, 6]) await release(client, seq);
    await client.next("end");
    for (const [index, { tokens, ended }] of rests.entries()) {
      await ended;
      expect(textBehind(tokens(), 1), names[index]).toBe(words.slice(1).join(""));
    }
    // Who never lost its connection notices nothing.
    expect(client.text(turn)).toBe(words.join(""));
  });

  test("I6: of one whose attempts have changed, only the last attempt is told, from its beginning", async () => {
    const { client, conversation, turn } = await begin(words, 2);
    const place = here(client, conversation, turn, 2);
    running.world.provider.script({ tokens: ["found ", "again"] });
    await running.world.worker();
    await running.worker.crash();
    await client.next("end");
    const frames = client.frames.filter((one) => one.type === "token" && one.attempt === 2);
    await loseTokens(conversation, 2, frames.length);
    const rests = await resumeAll(conversation, place);
    for (const [index, { tokens, ended }] of rests.entries()) {
      await ended;
      expect(textBehind(tokens(), 0), names[index]).toBe("found again");
      expect(tokens().map(({ attempt }) => attempt)).toEqual([2]);
    }
  });
});

test("nothing of all this was a fault of the gateway", () => expect(running.problems).toEqual([]));
