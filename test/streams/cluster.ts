/**
 * A cluster of three real nats-servers in this machine, each with a folder and ports of its own, to
 * be killed, suspended and started again one by one. What it needs to know of the cluster it asks the
 * cluster.
 */
import { rmSync } from "node:fs";
import { join } from "node:path";
import { connect, type NatsConnection } from "@nats-io/transport-node";
import { type Running, freePort, startNats, temporary } from "../support/services.ts";

export interface Cluster {
  /** All nodes, for clients: a list with commas. */
  readonly url: string;
  readonly names: readonly string[];
  urlOf(name: string): string;
  /** The node that leads a stream, or with `consumer` one of its consumers; null for nobody. */
  leader(stream: string, consumer?: string): Promise<string | null>;
  /** Asks the leader to give the lead to another; resolves when another has it. */
  stepDown(stream: string): Promise<string>;
  /** Resolves when every replica of every stream and consumer has what its leader has. */
  whole(): Promise<void>;
  kill9(name: string): Promise<void>;
  /** Starts a killed node again, on its data and its ports. */
  start(name: string): Promise<void>;
  suspend(name: string): void;
  resume(name: string): void;
  stop(): Promise<void>;
}

interface Node {
  readonly name: string;
  readonly dir: string;
  readonly port: number;
  readonly config: string;
  running: Running | null;
}

/** One question; a cluster without a leader does not answer it at all. */
const ask_ms = 500;
const patience_ms = 60_000;
/** Between two questions, so that asking does not keep the servers from electing. */
const breath_ms = 20;

export async function startCluster(): Promise<Cluster> {
  const nodes: Node[] = [];
  const routes = await Promise.all([freePort(), freePort(), freePort()]);
  for (const [index, route] of routes.entries()) {
    const name = `n${index + 1}`;
    const dir = temporary(`nats-${name}`);
    const port = await freePort();
    const config = [
      `server_name: ${name}`,
      "host: 127.0.0.1",
      `port: ${port}`,
      "max_payload: 8MB",
      `jetstream { store_dir: ${JSON.stringify(join(dir, "jetstream"))} }`,
      "cluster {",
      "  name: trouble",
      "  host: 127.0.0.1",
      `  port: ${route}`,
      `  routes: [${routes.map((one) => `"nats://127.0.0.1:${one}"`).join(", ")}]`,
      "}",
    ].join("\n");
    nodes.push({ name, dir, port, config, running: null });
  }
  const of = (name: string): Node => {
    const node = nodes.find((one) => one.name === name);
    if (node === undefined) throw new Error(`no node ${name}`);
    return node;
  };
  const launch = async (node: Node): Promise<void> => {
    node.running = await startNats(node.dir, { config: node.config, replace: true });
  };
  await Promise.all(nodes.map(launch));
  const servers = nodes.map(({ port }) => `127.0.0.1:${port}`);
  const admin = await connect({ servers, name: "cluster", maxReconnectAttempts: -1 });
  const info = (subject: string): Promise<Info | null> => asked<Info>(admin, subject);
  // A leader is elected by two already; a stream of three is placed when all of them are there.
  const probe = JSON.stringify({ name: "PROBE", subjects: ["probe"], num_replicas: 3 });
  await until(async () => (await asked(admin, "STREAM.CREATE.PROBE", probe)) !== null, "all nodes");
  await until(async () => (await asked(admin, "STREAM.DELETE.PROBE")) !== null, "the probe's end");

  const leader: Cluster["leader"] = async (stream, consumer) => {
    const what = consumer === undefined ? `STREAM.INFO.${stream}` : `CONSUMER.INFO.${stream}.`;
    return (await info(what + (consumer ?? "")))?.cluster?.leader ?? null;
  };
  const stepDown: Cluster["stepDown"] = async (stream) => {
    const before = await leader(stream);
    await asked(admin, `STREAM.LEADER.STEPDOWN.${stream}`);
    let after: string | null = null;
    await until(async () => {
      after = await leader(stream);
      return after !== null && after !== before;
    }, `another leader of ${stream}`);
    return after ?? "";
  };
  const whole = (): Promise<void> =>
    until(async () => {
      const { streams } = (await asked<{ streams: string[] }>(admin, "STREAM.NAMES")) ?? {};
      if (streams === undefined) return false;
      for (const stream of streams) {
        if (!isWhole(await info(`STREAM.INFO.${stream}`))) return false;
        const list = await asked<{ consumers: Info[] }>(admin, `CONSUMER.LIST.${stream}`);
        if (list === null || !(list.consumers ?? []).every(isWhole)) return false;
      }
      return true;
    }, "all replicas");
  return {
    url: servers.join(","),
    names: nodes.map(({ name }) => name),
    urlOf: (name) => `127.0.0.1:${of(name).port}`,
    leader,
    stepDown,
    whole,
    async kill9(name) {
      const node = of(name);
      await node.running?.kill9();
      node.running = null;
    },
    start: (name) => launch(of(name)),
    suspend: (name) => signal(of(name), "SIGSTOP"),
    resume: (name) => signal(of(name), "SIGCONT"),
    async stop() {
      await admin.close();
      for (const node of nodes) {
        signal(node, "SIGCONT");
        await node.running?.kill9();
        rmSync(node.dir, { recursive: true, force: true });
      }
    },
  };
}

/** What the server says of a stream or a consumer, as far as it matters here. */
interface Info {
  readonly cluster?: {
    readonly leader?: string;
    readonly replicas?: readonly { readonly current: boolean; readonly offline?: boolean }[];
  };
  readonly config: { readonly num_replicas?: number };
}

/** A consumer of one replica alone (an ordered one) lists none. */
const isWhole = (info: Info | null): boolean =>
  info?.cluster?.leader !== undefined &&
  (info.cluster.replicas ?? []).every(({ current, offline }) => current && offline !== true);

function signal({ running }: Node, name: "SIGSTOP" | "SIGCONT"): void {
  if (running !== null) process.kill(running.pid, name);
}

/** An answer of the JetStream API; null for an error or for none. */
async function asked<T>(nc: NatsConnection, subject: string, body = ""): Promise<T | null> {
  try {
    const answer = await nc.request(`$JS.API.${subject}`, body, { timeout: ask_ms });
    // The server's own words: the shape is that of its documentation.
    const said = answer.json<T & { error?: object }>();
    return said.error === undefined ? said : null;
  } catch {
    return null;
  }
}

/** Asks again until it holds; every question waits for its answer. */
async function until(holds: () => Promise<boolean>, what: string): Promise<void> {
  for (const began = performance.now(); !(await holds());) {
    if (performance.now() - began > patience_ms) throw new Error(`waited in vain for ${what}`);
    await new Promise((resolve) => setTimeout(resolve, breath_ms));
  }
}
