/** A real server with the topology on it, and what a test does to it. */
import { randomBytes } from "node:crypto";
import type { CommitDraft } from "../../schemas/commit.ts";
import { type DomainEvent, event } from "../../schemas/events.ts";
import { type ActorRef, systemIds } from "../../schemas/ids.ts";
import { connectStreams, type Streams } from "../../streams/connection.ts";
import { type Log, openLog } from "../../streams/log/log.ts";
import { provision } from "../../streams/provision.ts";
import { openVault, type Vault } from "../../streams/content/vault.ts";
import { type Running, startNats } from "../support/services.ts";

export const partitions = 8;
export const master_key = randomBytes(32);
export const secret = randomBytes(32);

/** One process's view of the server. */
export interface Client {
  readonly streams: Streams;
  readonly vault: Vault;
  readonly log: Log;
}

/** What the system runs on. */
export interface Server {
  readonly url: string;
  stop(): Promise<void>;
}

export interface System<S extends Server = Running> extends Client {
  readonly server: S;
  /** Another process's view, maybe by another way to the same server. */
  client(url?: string): Promise<Client>;
  stop(): Promise<void>;
}

export async function connectClient(url: string): Promise<Client> {
  const streams = await connectStreams({ url, name: "test" });
  const vault = await openVault(streams, master_key);
  return { streams, vault, log: openLog(streams, vault) };
}

export async function startSystem(): Promise<System> {
  return startSystemOn(await startNats(), 1);
}

async function provisioned(url: string, replicas: 1 | 3): Promise<Streams> {
  const streams = await connectStreams({ url, name: "provision" });
  try {
    await provision(streams, { partitions, replicas });
    return streams;
  } catch (error) {
    await streams.close();
    throw error;
  }
}

/** On a server or a cluster that is there; `stop` stops it, too. */
export async function startSystemOn<S extends Server>(
  running: S,
  replicas: 1 | 3,
): Promise<System<S>> {
  const first = await provisioned(running.url, replicas).catch(async (error: unknown) => {
    await running.stop();
    throw error;
  });
  const clients = [await connectClient(running.url)];
  const [client] = clients;
  if (client === undefined) throw new Error("no client");
  return {
    ...client,
    server: running,
    async client(url = running.url) {
      const another = await connectClient(url);
      clients.push(another);
      return another;
    },
    async stop() {
      await Promise.all(
        [first, ...clients.map(({ streams }) => streams)].map((one) => one.close()),
      );
      await running.stop();
    },
  };
}

export const newRef = (tenant = "acme"): ActorRef => ({
  tenant,
  kind: "conversation",
  id: systemIds(),
});

export const draft = (ref: ActorRef, events: readonly DomainEvent[]): CommitDraft => ({
  ref,
  commit: systemIds(),
  command: systemIds(),
  by: { type: "user", id: "ann" },
  at: new Date().toISOString(),
  traceparent: null,
  events,
});

export const said = (text: string): DomainEvent =>
  event("message.added", { message: systemIds(), parent: null, role: "user", text });

export const titled = (title: string): DomainEvent =>
  event("conversation.titled", { title, source: "user" });

export async function all<T>(source: AsyncIterable<T>): Promise<T[]> {
  const found: T[] = [];
  for await (const one of source) found.push(one);
  return found;
}

/** A promise with its ends outside. */
export function signal<T = void>(): { readonly reached: Promise<T>; reach(value: T): void } {
  let reach: (value: T) => void = () => undefined;
  const reached = new Promise<T>((resolve) => (reach = resolve));
  return { reached, reach: (value) => reach(value) };
}
