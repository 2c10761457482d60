/** The worker of `awake`: loads the conversations that it is told of and says what it holds then. */
import { createHost } from "../actors/host.ts";
import type { Delivery } from "../actors/ports.ts";
import { systemIds } from "../schemas/ids.ts";
import { connectAlone } from "./actor-ports.ts";
import type { Memory } from "./awake.ts";
import { rate } from "./figures.ts";

const [url = "", masterKey = ""] = process.argv.slice(2);
const { ports } = await connectAlone(url, Buffer.from(masterKey, "hex"));
const host = createHost(ports);
let sequence = 0;

/** Asks for what is already so; resolves when the conversation has answered. */
const load = (id: string): Promise<void> =>
  new Promise((resolve, reject) => {
    const refuse = (): void => reject(new Error(`${id} was not loaded`));
    const delivery: Delivery = {
      ref: { tenant: "bench", kind: "conversation", id },
      ...{ id: systemIds(), by: { type: "user", id: "bench" } },
      command: { name: "create", data: {} },
      ...{ traceparent: null, reply: null, partition: 0, sequence: ++sequence, deliveries: 1 },
      ...{ ack: resolve, working: () => undefined, nak: refuse, dead: refuse },
    };
    host.deliver([delivery]);
  });

/** After everything that can be freed was freed. */
function memory(): Memory {
  for (let n = 0; n < 3; n++) globalThis.gc?.();
  const { heapUsed: heap, rss: resident, external } = process.memoryUsage();
  return { heap: heap + external, resident, awake: host.awake() };
}

process.on("message", ({ ids }: { ids: readonly string[] }) => {
  const loadAll = async (): Promise<void> => {
    await rate(ids.length, 16, (at) => load(ids[at] ?? ""));
    process.send?.(memory());
  };
  void loadAll();
});
process.stdout.write("waiting\n");
