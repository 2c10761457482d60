/** Commands of one turn of the loop leave together, as a look at the sockets shows. */
import { Socket } from "node:net";
import { expect, test, vi } from "vitest";
import { systemIds } from "../../schemas/ids.ts";
import { commandPublisher } from "../../streams/queue/commands.ts";
import { newRef, secret, startSystem } from "./system.ts";

test("commands that come with one turn of the loop leave in one write", async () => {
  const system = await startSystem();
  const publisher = commandPublisher(system.streams, secret);
  const send = (): Promise<void> =>
    publisher.publish({
      ...{ ref: newRef(), name: "cancel", id: systemIds(), data: {} },
      ...{ by: { type: "user", id: "ann" }, reply: null, traceparent: null },
    });
  await send();
  const writes: number[] = [];
  const { write: given } = Socket.prototype;
  const write = vi.spyOn(Socket.prototype, "write").mockImplementation(function (
    this: Socket,
    ...words: Parameters<Socket["write"]>
  ) {
    const commands = Buffer.from(words[0]).toString().split("HPUB cmd.").length - 1;
    if (commands > 0) writes.push(commands);
    return given.apply(this, words);
  });
  // Each in a call of its own, as sockets are read: what one leaves for later comes before the next.
  const sockets = Array.from({ length: 10 }, () => {
    return new Promise<void>((resolve, reject) => {
      setImmediate(() => void send().then(resolve, reject));
    });
  });
  await Promise.all(sockets);
  write.mockRestore();
  await system.stop();
  expect(writes).toEqual([10]);
});
