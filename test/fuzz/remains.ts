/**
 * What a run leaves behind in the process that it attacked (I11): its heap, what keeps its event loop
 * alive, its files, the rooms, sockets, streams and commands that it counts itself, and the consumers
 * that it has at NATS. All of it is compared with what was there before, once nobody asks any more.
 */
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { connectStreams } from "../../streams/connection.ts";
import type { Served } from "../system/serve.ts";
import { type Held, lookInside } from "./inside.ts";

/** What must be none, by its name in `/metrics`. */
const gauges = [
  ...["sockets", "streams", "rooms", "cursors_lagging", "socket_buffer_bytes"],
  ...["commands_in_flight", "commands_waiting"],
];
/** What the heap may hold more at the end than in the middle: caches that fill up. */
const growth_bytes_max = 32 * 1024 * 1024;
/** What the process may take at any time, garbage and the buffers of sockets included. */
const resident_bytes_max = 1_024 * 1024 * 1024;
/** Timers and pipes that may be there more than before: of actors that are awake, and of caches. */
const resources_more_max = 40;
/** A webhook waits for its next event, and says that it still has what it posts. */
const timers_per_webhook = 2;
/** Files that may be open more than before: connections of pools that were opened since. */
const files_more_max = 40;
/** A reader's consumer whose deletion was never answered goes by itself after a minute. */
const settled_ms = 90_000;

export interface Remains {
  /** Takes the process's size; throws when it is gone. */
  sample(): void;
  /** In the middle of the run, when caches have begun to fill. */
  middle(): Promise<void>;
  /** What is left over when it should not be. */
  judge(): Promise<string[]>;
  /** Whether others had the machine: the process waited for it longer than it ran. */
  starved(): boolean;
  /** What it held, for people. */
  told(): string;
  close(): Promise<void>;
}

export async function openRemains(served: Served, folder: string): Promise<Remains> {
  const inside = await lookInside(served);
  const port = readFileSync(join(folder, "nats", "port"), "utf8").trim();
  const streams = await connectStreams({ url: `nats://127.0.0.1:${port}`, name: "fuzz" });
  const files = (): number => readdirSync(`/proc/${served.pid}/fd`).length;
  /** Those that nobody made on purpose, and those of the webhooks that are there. */
  const consumers = async (): Promise<{ ours: number; webhooks: number }> => {
    let [ours, webhooks] = [0, 0];
    for await (const { config, state } of streams.jsm.streams.list()) {
      if (config.name === "FEED") webhooks += state.consumer_count;
      else ours += state.consumer_count;
    }
    return { ours, webhooks };
  };
  const metrics = (): Promise<string> =>
    fetch(`${served.url}/metrics`).then((answer) => answer.text());
  const before = { held: await inside.look(), files: files(), consumers: await consumers() };
  let middle: Held = before.held;
  let end: Held = before.held;
  let resident = 0;

  /** What is not as it was; none when all is. */
  const look = async (): Promise<string[]> => {
    const text = await metrics();
    const left = gauges.flatMap((name) => {
      const value = new RegExp(`^colloquy_${name} (\\d+)$`, "m").exec(text)?.[1];
      return value === "0" ? [] : [`colloquy_${name} is ${value}`];
    });
    const [open, asking] = [files(), await consumers()];
    if (open > before.files + files_more_max) {
      left.push(`${open} files are open, ${before.files} before`);
    }
    if (asking.ours > before.consumers.ours) {
      left.push(`${asking.ours} consumers at NATS, ${before.consumers.ours} before`);
    }
    end = await inside.look();
    for (const [name, count] of Object.entries(end.resources)) {
      const was = before.held.resources[name] ?? 0;
      if (count > was + resources_more_max + asking.webhooks * timers_per_webhook)
        left.push(`${count} ${name}, ${was} before`);
    }
    if (end.bytes > middle.bytes + growth_bytes_max) {
      left.push(`the heap grew from ${middle.bytes} to ${end.bytes} bytes`);
    }
    return left;
  };

  return {
    sample() {
      const status = readFileSync(`/proc/${served.pid}/status`, "utf8");
      resident = Math.max(resident, Number(/VmRSS:\s+(\d+)/.exec(status)?.[1] ?? 0) * 1_024);
    },
    async middle() {
      middle = await inside.look();
    },
    async judge() {
      const patience = performance.now() + settled_ms;
      for (;;) {
        const left = await look();
        const over = performance.now() > patience;
        if (left.length === 0 || over) {
          if (resident > resident_bytes_max) left.push(`it took ${resident} bytes`);
          return left;
        }
        await new Promise((resolve) => setTimeout(resolve, 1_000));
      }
    },
    starved() {
      const [ran, waited] = readFileSync(`/proc/${served.pid}/schedstat`, "utf8").split(" ");
      return Number(waited) > Number(ran);
    },
    told() {
      const [first, second, last] = [before.held, middle, end].map(({ bytes }) => mb(bytes));
      const kinds = Object.entries(end.resources).map(([name, count]) => `${count} ${name}`);
      return [
        `heap ${first} MB before, ${second} in the middle, ${last} at the end`,
        `at most ${mb(resident)} MB in all; ${kinds.join(", ")}`,
      ].join("\n");
    },
    async close() {
      inside.close();
      await streams.close();
    },
  };
}

const mb = (bytes: number): number => Math.round(bytes / 1e6);
