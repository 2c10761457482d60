/**
 * Looks into a running process through Node's inspector: what its heap holds when all that is garbage
 * is gone, and what keeps its event loop alive. The inspector is opened by a signal and on a free port
 * (`NODE_OPTIONS=--inspect-port=0`), so nothing of it runs before it is asked for.
 */
import { WebSocket } from "ws";
import { parseJson } from "../../schemas/validate.ts";
import type { Served } from "../system/serve.ts";

/** What the process holds. */
export interface Held {
  /** Bytes of JavaScript objects and of the buffers that belong to them, after a collection. */
  readonly bytes: number;
  /** Timers, sockets, pipes … that are open, by Node's names for them. */
  readonly resources: Readonly<Record<string, number>>;
}

export const inspectable = { NODE_OPTIONS: "--inspect-port=0" };
/** What the inspector says on stderr. */
export const inspector_words =
  /^Debugger (listening|attached|ending)|^For help, see: https:\/\/nodejs|^Waiting for the debugger/;

const look = `(() => {
  const resources = {};
  for (const name of process.getActiveResourcesInfo()) resources[name] = (resources[name] ?? 0) + 1;
  const { heapUsed, external } = process.memoryUsage();
  return JSON.stringify({ bytes: heapUsed + external, resources });
})()`;

export interface Inside {
  /** Collects the garbage and looks; the process stands still for it some 100 ms. */
  look(): Promise<Held>;
  close(): void;
}

/** Opens the inspector of a process that was started with `inspectable`. */
export async function lookInside({ pid, complaints }: Served): Promise<Inside> {
  process.kill(pid, "SIGUSR1");
  const address = await heard(complaints);
  const socket = new WebSocket(address);
  await new Promise<void>((resolve) => socket.on("open", resolve));
  const answered = new Map<number, (result: unknown) => void>();
  socket.on("message", (data: Buffer) => {
    // What the protocol sends.
    const { id, result } = parseJson(data.toString()) as { id?: number; result?: unknown };
    if (id === undefined) return;
    answered.get(id)?.(result);
    answered.delete(id);
  });
  // A process that has ended answers no more; that is judged elsewhere.
  socket.on("error", () => undefined);
  let asked = 0;
  const ask = (method: string, params: object = {}): Promise<unknown> =>
    new Promise((resolve) => {
      answered.set(++asked, resolve);
      socket.send(JSON.stringify({ id: asked, method, params }));
    });
  return {
    async look() {
      // Twice: what a finalizer frees goes with the second.
      await ask("HeapProfiler.collectGarbage");
      await ask("HeapProfiler.collectGarbage");
      // What the expression makes.
      const told = (await ask("Runtime.evaluate", { expression: look })) as {
        result: { value: string };
      };
      return JSON.parse(told.result.value) as Held;
    },
    close: () => socket.terminate(),
  };
}

/** The address that the inspector says. */
async function heard(complaints: readonly string[]): Promise<string> {
  for (;;) {
    for (const line of complaints) {
      const address = /listening on (ws:\S+)/.exec(line)?.[1];
      if (address !== undefined) return address;
    }
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}
