/**
 * A body that is written as it comes, to a client that does not read for longer than the native
 * server's own patience of some ten seconds: nothing is gathered for it, and nothing of it is lost.
 */
import { connect } from "node:net";
import { beforeAll, expect, test } from "vitest";
import { App, type us_listen_socket, us_socket_local_port } from "uWebSockets.js";
import { Outflow } from "../../gateway/http/outflow.ts";
import { systemClock } from "../../schemas/ids.ts";

let port = 0;
const opened = Promise.withResolvers<Outflow>();
beforeAll(async () => {
  const app = App().get("/", (res) => {
    const outflow = new Outflow(res, systemClock, "~");
    res.onAborted(() => outflow.abort());
    outflow.begin("200 OK", {});
    opened.resolve(outflow);
  });
  const listening = await new Promise<us_listen_socket>((resolve, reject) =>
    app.listen("127.0.0.1", 0, (socket) => (socket === false ? reject() : resolve(socket))),
  );
  port = us_socket_local_port(listening);
  return () => void app.close();
});

/** Longer than the server waits by itself (measured: 8 to 12 s). */
const silence_ms = 14_000;
const line_chars = 64 * 1024;
/** More than the kernel holds of one connection. */
const lines = 512;

test("I11: who reads nothing for long is neither written to nor cut off, and has all of it in the end", async () => {
  const client = connect(port, "127.0.0.1");
  client.write("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
  client.pause();
  const outflow = await opened.promise;
  let next = 0;
  const write = (): void => {
    while (next < lines && outflow.writable()) {
      outflow.write(`<${next}${".".repeat(line_chars - `<${next}>`.length)}>`);
      next += 1;
    }
    if (next === lines) outflow.end();
  };
  outflow.onDrain(write);
  write();
  const held = next;
  expect(held).toBeGreaterThan(0);
  expect(held).toBeLessThan(lines);
  await new Promise((resolve) => void systemClock.after(silence_ms, () => resolve(null)));
  expect([next, outflow.aborted]).toEqual([held, false]);

  const received: Buffer[] = [];
  const whole = new Promise<void>((resolve) =>
    client.on("data", (bytes: Buffer) => {
      received.push(bytes);
      // The last chunk of a body.
      if (bytes.toString("latin1").endsWith("\r\n0\r\n\r\n")) resolve();
    }),
  );
  client.resume();
  await Promise.all([outflow.closed, whole]);
  expect([next, outflow.aborted]).toEqual([lines, false]);
  const told = Buffer.concat(received)
    .toString("latin1")
    .matchAll(/<(\d+)\.+/g);
  expect([...told].map(([, number]) => Number(number))).toEqual([...Array(lines).keys()]);
  client.destroy();
}, 60_000);
