/** What actors need, for scenarios that run them in their own process: the real log, nobody else. */
import type { Ports } from "../actors/ports.ts";
import { createModels } from "../models/registry.ts";
import { extractTitle } from "../models/titler.ts";
import { systemClock, systemIds } from "../schemas/ids.ts";
import { connectStreams, type Streams } from "../streams/connection.ts";
import { type Log, openLog } from "../streams/log/log.ts";
import { replyPort } from "../streams/live/replies.ts";
import { openSnapshots } from "../streams/log/snapshots.ts";
import { textPort } from "../streams/log/texts.ts";
import { tokenPort } from "../streams/live/tokens.ts";
import { openVault } from "../streams/content/vault.ts";

export interface Client {
  readonly streams: Streams;
  readonly log: Log;
  readonly ports: Ports;
}

/** Connects as a worker does, alone and with the built-in model. */
export async function connectAlone(natsUrl: string, masterKey: Uint8Array): Promise<Client> {
  const streams = await connectStreams({ url: natsUrl, name: "bench" });
  const vault = await openVault(streams, masterKey);
  const log = openLog(streams, vault);
  const report: Ports["report"] = ({ what, error }) => {
    throw new Error(what, { cause: error });
  };
  const ports: Ports = {
    ...{ log, report },
    snapshots: await openSnapshots(streams, { code: "bench", report }),
    texts: textPort(log),
    tokens: tokenPort(streams, log),
    workers: {
      ...{ id: systemIds(), gone: () => false, changes: () => () => undefined },
      ...{ ask: () => Promise.resolve(null), answer: () => () => undefined },
    },
    timers: { set: () => undefined },
    content: { erase: (ref) => vault.erase(ref) },
    replies: replyPort(streams),
    models: createModels({ openai: null, clock: systemClock }),
    title: extractTitle,
    clock: systemClock,
    ids: systemIds,
  };
  return { streams, log, ports };
}
