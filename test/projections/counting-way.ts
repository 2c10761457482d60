/** A way to a database that counts on it what its speed hangs on: how often somebody waits for it. */
import { once } from "node:events";
import { type AddressInfo, connect, createServer, type Socket } from "node:net";

/** A way to a database that counts how often somebody asks after an answer. */
export async function countingWay(to: string) {
  const { hostname, port } = new URL(to);
  let questions = 0;
  const sockets = new Set<Socket>();
  const server = createServer((near) => {
    const far = connect({ host: hostname, port: Number(port) });
    let answered = true;
    near.on("data", (bytes) => {
      if (answered) questions++;
      answered = false;
      far.write(bytes);
    });
    far.on("data", (bytes) => {
      answered = true;
      near.write(bytes);
    });
    for (const [one, other] of [
      [near, far],
      [far, near],
    ] as const) {
      sockets.add(one);
      one.setNoDelay(true);
      one.on("error", () => undefined);
      one.on("close", () => other.destroy());
    }
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const url = new URL(to);
  url.hostname = "127.0.0.1";
  url.port = String((server.address() as AddressInfo).port); // of a server that listens
  return {
    url: url.href,
    /** Since it was last asked. */
    count(): number {
      const seen = questions;
      questions = 0;
      return seen;
    },
    close(): void {
      server.close();
      for (const socket of sockets) socket.destroy();
    },
  };
}
