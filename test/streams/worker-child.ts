/**
 * A worker as a process of its own, to be killed: `worker-child.ts <nats url> <secret, hex>`. It
 * prints one JSON line per delivery; it acks `cancel` and holds everything else.
 */
import { systemClock, systemIds } from "../../schemas/ids.ts";
import { limits } from "../../schemas/limits.ts";
import { connectStreams } from "../../streams/connection.ts";
import { consumeCommands, type Delivery } from "../../streams/queue/queue.ts";
import { joinWorkers } from "../../streams/queue/workers.ts";
import { partitions } from "./system.ts";

const [url = "", secret = ""] = process.argv.slice(2);
const streams = await connectStreams({ url, name: "child" });
const worker = await joinWorkers(streams, { id: systemIds(), clock: systemClock });
const held = new Set<Delivery>();
const say = (line: object): boolean => process.stdout.write(`${JSON.stringify(line)}\n`);
consumeCommands({
  streams,
  secret: Buffer.from(secret, "hex"),
  worker,
  partitions,
  report: (problem) => console.error(problem),
  inbox: {
    deliver(deliveries) {
      for (const delivery of deliveries) {
        const { id, partition, deliveries: count, command } = delivery;
        say({ id, partition, count });
        if (command.name === "cancel") delivery.ack();
        else held.add(delivery);
      }
    },
    lost(partition) {
      for (const delivery of held) if (delivery.partition === partition) held.delete(delivery);
    },
  },
});
setInterval(() => {
  for (const delivery of held) delivery.working();
}, limits.working_ms);
say({ ready: worker.id });
