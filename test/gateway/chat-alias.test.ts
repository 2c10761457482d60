/** The older addresses of a question and its answer: `POST /chat` and the WebSocket of its frames. */
import { beforeAll, expect, test } from "vitest";
import { systemIds } from "../../schemas/ids.ts";
import { type ChatFrame, openChatStream } from "./chat-stream.ts";
import { type Running, startRunning } from "./running.ts";

let running: Running;
beforeAll(async () => {
  running = await startRunning();
  return () => running.stop();
});

const read = async (path: string, { user = "ann", at = running.gateway } = {}) =>
  openChatStream(at.url, path, await running.token(user));
const textOf = (frames: readonly ChatFrame[]): string =>
  frames.flatMap((one) => (one.type === "token" ? [one.content] : [])).join("");

test.each(["/chat", "/api/v1/chat"])(
  "I6: what %s asks is read in pieces, from any gateway",
  async (address) => {
    const { provider } = running.world;
    const words = ["one ", "two ", "three ", "four"];
    provider.script({ tokens: words, gate: true });
    const messages = [{ role: "user", content: `by ${address}` }];
    const asked = await running.http("POST", address, { body: { messages } });
    expect(asked.status).toBe(202);
    const path = `/chat/stream/${String(asked.body["stream_session_id"])}`;
    const first = await read(path);
    provider.release(2);
    await first.until(() => textOf(first.frames) === "one two ");
    first.socket.terminate();
    const last = first.seqs().at(-1) ?? 0;
    const other = await running.another();
    const rest = await read(`${path}?last_token_seq=${last}&attempt=1`, { at: other });
    provider.release(2);
    expect(await rest.closed).toBe(1000);
    expect(textOf([...first.frames, ...rest.frames])).toBe(words.join(""));
    expect(rest.frames.at(-1)).toMatchObject({ type: "end", finish: "stop" });
    const again = await read(`${path}?last_token_seq=${last}`);
    expect(await again.closed).toBe(1000);
    expect(textOf(again.frames)).toBe(textOf(rest.frames));
  },
);

test("I10: nobody else reads it, and what is not there says so", async () => {
  const messages = [{ role: "user", content: "mine" }];
  const asked = await running.http("POST", "/chat", { body: { messages } });
  const path = `/chat/stream/${String(asked.body["stream_session_id"])}`;
  for (const [address, user] of [
    [path, "mallory"],
    [`/chat/stream/${systemIds()}`, "ann"],
  ] as const) {
    const stranger = await read(address, { user });
    await stranger.closed;
    expect(stranger.frames).toMatchObject([{ type: "error", code: "not_found" }]);
  }
  const refused = await running.http("POST", "/chat", { body: { messages, n: 2 } });
  expect(refused).toMatchObject({ status: 400, body: { code: "unsupported_parameter" } });
});
