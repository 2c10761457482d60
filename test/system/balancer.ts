/** A TCP balancer in one file: each new connection goes to the next target that takes it. */
import { once } from "node:events";
import { connect, createServer, type Socket } from "node:net";
import type { AddressInfo } from "node:net";

export interface Balancer {
  readonly port: number;
  /** How many connections each target was given. */
  readonly given: readonly number[];
  stop(): void;
}

export async function startBalancer(ports: readonly number[]): Promise<Balancer> {
  const given = ports.map(() => 0);
  const open = new Set<Socket>();
  let turn = 0;
  const server = createServer((client) => {
    open.add(client);
    client.on("error", () => undefined);
    client.on("close", () => open.delete(client));
    pass(client, ports.length);
  });

  /** Tries one target after the other; a client that nobody takes is cut off. */
  function pass(client: Socket, tries: number): void {
    const at = turn++ % ports.length;
    if (tries === 0) return void client.destroy();
    const target = connect(ports[at] ?? 0, "127.0.0.1");
    const next = (): void => pass(client, tries - 1);
    target.once("error", next);
    target.once("connect", () => {
      target.off("error", next);
      given[at] = (given[at] ?? 0) + 1;
      for (const [from, to] of [
        [client, target],
        [target, client],
      ] as const) {
        from.on("error", () => to.destroy());
        from.on("close", () => to.destroy());
        from.pipe(to);
      }
    });
  }

  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  return {
    port: (server.address() as AddressInfo).port, // of a server that listens on TCP
    given,
    stop() {
      server.close();
      for (const socket of open) socket.destroy();
    },
  };
}
