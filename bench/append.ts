/**
 * `append`: decisions per second into the log, sealed and chained, beside the rate of bare publishes
 * of as many bytes with the same check, on the same server in the same run.
 */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { randomBytes } from "node:crypto";
import { type CommitDraft, empty_head, type Head } from "../schemas/commit.ts";
import { event } from "../schemas/events.ts";
import { type ActorRef, systemIds } from "../schemas/ids.ts";
import { connectStreams } from "../streams/connection.ts";
import { openLog } from "../streams/log/log.ts";
import { startNatsServer } from "../streams/server.ts";
import { provision } from "../streams/provision.ts";
import { openVault } from "../streams/content/vault.ts";
import { beside } from "./beside.ts";
import { type Print, rate, type Sync } from "./figures.ts";

const actors = 256;

export async function append(print: Print, scale: number, syncs: readonly Sync[]): Promise<void> {
  for (const sync of syncs) {
    const always = sync === "always";
    const count = Math.round((always ? 4_000 : 20_000) * scale);
    await under(sync, count, always ? "_sync_always" : "", print);
  }
}

async function under(sync: Sync, count: number, suffix: string, print: Print): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), "colloquy-bench-"));
  const server = await startNatsServer({ folder, port: 0, sync, log: () => undefined });
  const streams = await connectStreams({ url: server.url, name: "bench" });
  await provision(streams, { partitions: 8, replicas: 1 });
  await streams.jsm.streams.add({ name: "BARE", subjects: ["bare.*"], storage: "file" });
  const log = openLog(streams, await openVault(streams, randomBytes(32)));
  const refs = Array.from({ length: actors }, (): ActorRef => {
    return { tenant: "bench", kind: "conversation", id: systemIds() };
  });
  const heads = new Map<ActorRef, Head>();
  const text = "A durable actor keeps its state in a log, and goes on where it was. ".repeat(4);
  const draftOf = (ref: ActorRef): CommitDraft => ({
    ...{ ref, commit: systemIds(), command: systemIds(), traceparent: null },
    ...{ by: { type: "user", id: "bench" }, at: new Date().toISOString() },
    events: [
      event("message.added", { message: systemIds(), parent: systemIds(), role: "user", text }),
      event("turn.started", {
        ...{ turn: systemIds(), message: systemIds(), user: systemIds(), attempt: 1 },
        ...{ owner: systemIds(), provider: "bench", model: "bench" },
      }),
    ],
  });
  const ours = async (draft: CommitDraft): Promise<void> => {
    const appended = await log.append(draft, heads.get(draft.ref) ?? empty_head);
    if (!appended.ok) throw new Error("nobody else writes here");
    heads.set(draft.ref, appended.head);
  };
  // What a decision costs is not part of it.
  let drafts: CommitDraft[][] = [];
  const prepare = (each: number): void => {
    drafts = refs.map((ref) => Array.from({ length: each }, () => draftOf(ref)));
  };
  // One at a time per actor, all actors at once: what a worker does.
  const appends = (each: number): Promise<number> =>
    rate(actors, actors, async (at) => {
      for (const draft of drafts[at] ?? []) await ours(draft);
    }).then((perSecond) => perSecond * each);
  const sequences = new Map<number, number>();
  let bytes = Buffer.alloc(0);
  const bare = (each: number): Promise<number> =>
    rate(actors, actors, async (at) => {
      for (let n = 0; n < each; n++) {
        const { seq } = await streams.js.publish(`bare.${at}`, bytes, {
          msgID: systemIds(),
          expect: { lastSubjectSequence: sequences.get(at) ?? 0 },
        });
        sequences.set(at, seq);
      }
    }).then((perSecond) => perSecond * each);

  try {
    prepare(4);
    await appends(4);
    const stored = await streams.jsm.streams.getMessage("EVENTS", { seq: 1 });
    bytes = randomBytes(stored?.data.length ?? 1_000);
    await bare(4);
    const each = Math.max(1, Math.round(count / actors));
    const side = { count: each * actors, pids: [server.pid] };
    const mine = { ...side, prepare: () => prepare(each), run: () => appends(each) };
    const names = { scenario: "append", job: "commit", suffix };
    for (const one of await beside(names, mine, { ...side, run: () => bare(each) })) print(one);
  } finally {
    await streams.close();
    await server.stop();
    rmSync(folder, { recursive: true, force: true });
  }
}
