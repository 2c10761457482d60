/** What one post takes of an answer. */
import { once } from "node:events";
import { createServer, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { afterEach, expect, test } from "vitest";
import { post } from "../../integrations/webhooks/post.ts";
import { limits } from "../../schemas/limits.ts";

const ends: (() => void)[] = [];
afterEach(() => {
  for (const end of ends.splice(0)) end();
});

/** An endpoint that answers in its own way; the URL. */
async function endpoint(answer: (response: ServerResponse) => void): Promise<string> {
  const server = createServer((request, response) => {
    request.resume();
    answer(response);
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  ends.push(() => {
    server.close();
    server.closeAllConnections();
  });
  const { port } = server.address() as AddressInfo; // of a server that listens
  return `http://127.0.0.1:${port}/`;
}

const deliver = (url: string) =>
  post(
    { url, secret: "whsec_c2VjcmV0", id: "one", body: "{}", now_ms: Date.now() },
    { anywhere: true, timeout_ms: 600_000, signal: new AbortController().signal },
  );

test("I11: of an answer that does not end little is read, and its status counts", async () => {
  const piece = Buffer.alloc(64 * 1024);
  /** Far more than what the two sockets hold, and what may be read. */
  const most = 64 * 1024 * 1024 + limits.webhook_answer_bytes_max;
  let written = 0;
  const url = await endpoint((response) => {
    const write = (): void => {
      while (written < most && !response.destroyed) {
        written += piece.length;
        if (!response.write(piece)) return void response.once("drain", write);
      }
      if (written >= most) response.end();
    };
    gone = once(response, "close");
    write();
  });
  let gone: Promise<unknown> = Promise.resolve();
  expect(await deliver(url)).toEqual({ ok: true, status: 200, reason: "" });
  await gone;
  expect(written).toBeLessThan(most);
});

test("an answer of an allowed size is taken to its end", async () => {
  let finished: Promise<unknown> = Promise.resolve();
  const url = await endpoint((response) => {
    finished = once(response, "finish");
    response.writeHead(204).end();
  });
  expect(await deliver(url)).toEqual({ ok: true, status: 204, reason: "" });
  await finished;
});
