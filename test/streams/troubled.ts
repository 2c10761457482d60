/**
 * One real nats-server that a test can kill, suspend and start again, and a way to it through a TCP
 * proxy of the test's own, which can be cut (connections end, new ones are refused) or stalled
 * (nothing gets through and nobody is told).
 */
import { once } from "node:events";
import { rmSync } from "node:fs";
import { connect, createServer, type Server, type Socket } from "node:net";
import { type Running, startNats, temporary } from "../support/services.ts";

export interface Troubled {
  readonly url: string;
  /** The same server, through the proxy. */
  readonly way: string;
  kill9(): Promise<void>;
  /** Starts it again on its data and its port; `config` is added to its configuration. */
  start(config?: string): Promise<void>;
  suspend(): void;
  resume(): void;
  cut(): Promise<void>;
  stall(): void;
  /** What the server says gets lost; what is said to it arrives. */
  mute(): void;
  /** Undoes a cut, a stall or a mute. */
  mend(): Promise<void>;
  stop(): Promise<void>;
}

export async function startTroubled(config = ""): Promise<Troubled> {
  const dir = temporary("troubled");
  let running: Running = await startNats(dir, { config });
  const { port, url } = running;
  const proxy = await startProxy(port);
  const signal = (name: "SIGSTOP" | "SIGCONT") => (): void => void process.kill(running.pid, name);
  return {
    url,
    way: `nats://127.0.0.1:${proxy.port}`,
    kill9: () => running.kill9(),
    async start(more = config) {
      running = await startNats(dir, { port, config: more });
    },
    suspend: signal("SIGSTOP"),
    resume: signal("SIGCONT"),
    cut: proxy.cut,
    stall: proxy.stall,
    mute: proxy.mute,
    mend: proxy.mend,
    async stop() {
      await proxy.cut();
      // One that is suspended ends by this, too.
      await running.kill9();
      rmSync(dir, { recursive: true, force: true });
    },
  };
}

async function startProxy(target: number): Promise<{
  readonly port: number;
  cut(): Promise<void>;
  stall(): void;
  mute(): void;
  mend(): Promise<void>;
}> {
  const sockets = new Set<Socket>();
  const answering = new Set<Socket>();
  let stalled = false;
  const keep = (socket: Socket, other: Socket): void => {
    sockets.add(socket);
    socket.on("data", (chunk) => other.write(chunk));
    socket.on("error", () => undefined);
    socket.on("close", () => {
      sockets.delete(socket);
      answering.delete(socket);
      other.destroy();
    });
    if (stalled) socket.pause();
  };
  let server: Server | null = null;
  const listen = async (port: number): Promise<number> => {
    server = createServer((near) => {
      const far = connect(target, "127.0.0.1");
      answering.add(far);
      keep(near, far);
      keep(far, near);
    });
    server.listen(port, "127.0.0.1");
    await once(server, "listening");
    const address = server.address();
    if (address === null || typeof address === "string") throw new Error("no port");
    return address.port;
  };
  const port = await listen(0);
  return {
    port,
    async cut() {
      const closing = server;
      server = null;
      for (const socket of sockets) socket.destroy();
      if (closing === null) return;
      closing.close();
      await once(closing, "close");
    },
    stall() {
      stalled = true;
      for (const socket of sockets) socket.pause();
    },
    mute() {
      for (const socket of answering) socket.pause();
    },
    async mend() {
      stalled = false;
      for (const socket of sockets) socket.resume();
      if (server === null) await listen(port);
    },
  };
}
