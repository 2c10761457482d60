/**
 * What the role `feed` runs, in a process of its own, to be killed:
 * `feed-child.ts <nats url> <holder>`, and the keys in the environment. It says when it runs.
 */
import { startPublisher } from "../../integrations/publisher.ts";
import { startWebhooks } from "../../integrations/webhooks/runner.ts";
import { systemClock, systemIds } from "../../schemas/ids.ts";
import { connectStreams } from "../../streams/connection.ts";
import { openVault } from "../../streams/content/vault.ts";
import { openLog } from "../../streams/log/log.ts";
import { commandPublisher } from "../../streams/queue/commands.ts";

const [url = "", holder = ""] = process.argv.slice(2);
const key = (name: string): Buffer => Buffer.from(process.env[name] ?? "", "hex");
const streams = await connectStreams({ url, name: "feed" });
const vault = await openVault(streams, key("MASTER_KEY"));
const report = ({ what, error }: { what: string; error?: unknown }): void =>
  void process.stderr.write(`${what} ${String(error)}\n`);
await startPublisher({
  ...{ streams, vault, log: openLog(streams, vault), clock: systemClock, holder, report },
});
await startWebhooks({
  ...{ streams, vault, clock: systemClock, ids: systemIds, holder, report },
  ...{ publish: commandPublisher(streams, key("SECRET")), anywhere: true },
  // What was on its way when it was killed is posted by the next one soon.
  times: { ack_ms: 1_000 },
});
process.stdout.write("runs\n");
