/**
 * A data folder with a log in it, as an installation leaves it behind: at rest, or cut off while it ran.
 * Two blocks of the file store: the first is complete and packed, the second is still written to.
 */
import { randomBytes } from "node:crypto";
import { cpSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { writeHead } from "../../cli/folder/head-file.ts";
import { empty_head, type Head } from "../../schemas/commit.ts";
import type { ActorRef } from "../../schemas/ids.ts";
import { connectStreams } from "../../streams/connection.ts";
import { openLog } from "../../streams/log/log.ts";
import { provision } from "../../streams/provision.ts";
import { startNatsServer } from "../../streams/server.ts";
import { openVault } from "../../streams/content/vault.ts";
import { draft, newRef, partitions, said } from "../streams/system.ts";

/** Of texts that no compression makes smaller, so that few commits fill a block of 8 MB. */
const block_text_bytes = 450_000;
const commits = 20;

export interface Made {
  readonly refs: readonly ActorRef[];
  /** Stopped as it should be. */
  readonly rested: string;
  /** As `kill -9` leaves it: no index of the last moment, and a `head` file that lies behind. */
  readonly cut: string;
}

/** 20 commits of 3 actors, of two tenants; `text_bytes` of random text each. */
export async function makeInstallation(
  folder: string,
  text_bytes = block_text_bytes,
): Promise<Made> {
  const [rested, cut] = [join(folder, "rested"), join(folder, "cut")];
  const refs = [newRef(), newRef(), newRef("zeta")];
  const heads: Head[] = refs.map(() => empty_head);
  mkdirSync(rested, { recursive: true });
  const master_key = randomBytes(32);
  writeFileSync(join(rested, "master-key"), `${master_key.toString("hex")}\n`, { mode: 0o600 });
  const session = async (from: number, to: number, also: () => void): Promise<void> => {
    const server = await startNatsServer({ folder: rested, port: 0, log: () => undefined });
    const streams = await connectStreams({ url: server.url, name: "test" });
    await provision(streams, { partitions, replicas: 1 });
    const log = openLog(streams, await openVault(streams, master_key));
    for (let n = from; n < to; n++) {
      const at = n % refs.length;
      const [ref, head] = [refs[at], heads[at]];
      if (ref === undefined || head === undefined) throw new Error("no actor");
      const text = randomBytes(text_bytes).toString("base64");
      const trace =
        n % 2 === 0
          ? `00-${randomBytes(16).toString("hex")}-${randomBytes(8).toString("hex")}-01`
          : null;
      const one = { ...draft(ref, [said(text), said("and more")]), traceparent: trace };
      const done = await log.append(one, head);
      if (!done.ok) throw new Error("conflict");
      heads[at] = done.head;
    }
    also();
    await writeHead(rested, log);
    await streams.close();
    await server.stop();
    server.before.forget();
  };
  await session(0, commits - 3, () => undefined);
  const index = join(storeOf(rested), "msgs", "index.db");
  const stale = readFileSync(index);
  await session(commits - 3, commits, () => {
    cpSync(rested, cut, { recursive: true });
    writeFileSync(join(storeOf(cut), "msgs", "index.db"), stale);
  });
  return { refs, rested, cut };
}

/** The folder of the log's files in a data folder. */
export const storeOf = (folder: string): string =>
  join(folder, "nats", "jetstream", "jetstream", "$G", "streams", "EVENTS");

/** Changes one byte of a file; `at` counts from the end when it is negative. */
export function flip(file: string, at: number, bits = 0x10): void {
  const bytes = readFileSync(file);
  const index = at < 0 ? bytes.length + at : at;
  bytes[index] = (bytes[index] ?? 0) ^ bits;
  writeFileSync(file, bytes);
}

export const blocksOf = (folder: string): readonly string[] =>
  readdirSync(join(storeOf(folder), "msgs")).filter((name) => name.endsWith(".blk"));
