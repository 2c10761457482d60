/** Readers of streams over HTTP that stop reading, for a while or for good (I11). */
import { get, type IncomingMessage } from "node:http";
import { beforeAll, expect, test } from "vitest";
import { systemIds } from "../../schemas/ids.ts";
import { limits } from "../../schemas/limits.ts";
import { type Running, startRunning } from "./running.ts";
import { readEvents } from "./sse-client.ts";

let running: Running;
beforeAll(async () => {
  running = await startRunning();
  return () => running.stop();
});

const readers = 12;
/** Of an answer; with as many turns it is more than the kernel takes in for a reader. */
const text = "0123456789abcdef".repeat(23_000);
const turns = 20;

test("I6: I11: streams that are never read hold bounded memory, and whoever reads again has it all", async () => {
  const author = await running.connect({ user: "streams" });
  const conversation = systemIds();
  for (let turn = 1; turn <= turns; turn++) {
    running.world.provider.script({ tokens: [text] });
    author.send({ type: "send", id: systemIds(), conversation, text: "long", parent: null });
    await author.until((frames) => frames.filter(({ type }) => type === "end").length === turn);
  }
  const streams = await Promise.all(Array.from({ length: readers }, () => open(conversation)));
  // Nobody reads: all are behind, and each holds one write at most.
  await expect.poll(() => metric("colloquy_cursors_lagging")).toBe(readers);
  expect(await metric("colloquy_streams")).toBe(readers);
  const held = await metric("colloquy_socket_buffer_bytes");
  expect(held).toBeGreaterThan(0);
  expect(held).toBeLessThanOrEqual(readers * (limits.stream_write_chars + 1.1 * text.length));

  // Meanwhile another one is answered as ever, and one that reads has all of it.
  running.world.provider.script({ tokens: ["quick"] });
  const other = systemIds();
  author.send({ type: "send", id: systemIds(), conversation: other, text: "hi", parent: null });
  await author.until((frames) =>
    frames.some((one) => "conversation" in one && one.conversation === other && one.type === "end"),
  );
  const last = author.revisions(conversation).at(-1) ?? 0;
  const wanted = Array.from({ length: last }, (_, index) => index + 1);
  expect(revisions(await readAll(await open(conversation)))).toEqual(wanted);

  // Half of them read again, the others go without a word.
  for (const stream of streams.slice(0, readers / 2)) {
    expect(revisions(await readAll(stream))).toEqual(wanted);
  }
  for (const stream of streams.slice(readers / 2)) stream.destroy();
  for (const name of ["cursors_lagging", "streams", "socket_buffer_bytes"]) {
    await expect.poll(() => metric(`colloquy_${name}`)).toBe(0);
  }
  expect(running.problems).toEqual([]);
}, 120_000);

/** Asks for the whole conversation and reads nothing but the head of the answer. */
async function open(conversation: string): Promise<IncomingMessage> {
  const token = await running.token("streams");
  const url = `${running.gateway.url}/api/v1/conversations/${conversation}/messages`;
  const headers = { accept: "text/event-stream", authorization: `Bearer ${token}` };
  return new Promise((resolve, reject) => {
    get(url, { agent: false, headers }, resolve).on("error", reject);
  });
}

async function readAll(stream: IncomingMessage): Promise<string> {
  let all = "";
  stream.setEncoding("utf8");
  for await (const chunk of stream) all += String(chunk);
  return all;
}

const revisions = (body: string): number[] =>
  readEvents(body).flatMap(({ event, data }) =>
    event === "event" ? [Number(data["revision"])] : [],
  );

async function metric(name: string): Promise<number> {
  const shown = await (await fetch(`${running.gateway.url}/metrics`)).text();
  return Number(new RegExp(`^${name} (\\S+)$`, "m").exec(shown)?.[1]);
}
