/** What we ship for production: the server configuration starts, and each role can do its part only. */
import { execFileSync } from "node:child_process";
import { readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { connect, type NatsConnection } from "@nats-io/transport-node";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { parse } from "yaml";
import { natsBinary, type Running, temporary } from "../support/services.ts";
import { nats_users, passwordOf, shipped, startShippedNats } from "../support/shipped-nats.ts";

const root = join(import.meta.dirname, "../..");
describe("nats.conf", () => {
  const dir = temporary("conf");
  let server: Running;
  const open: NatsConnection[] = [];
  const as = async (user: string): Promise<NatsConnection> => {
    const inboxPrefix = user === "integrator" ? "_INBOX.acme" : "_INBOX";
    const nc = await connect({ servers: server.url, user, pass: passwordOf(user), inboxPrefix });
    open.push(nc);
    return nc;
  };
  /** Whether the server lets `user` publish on `subject`. */
  const mayPublish = async (user: string, subject: string): Promise<boolean> => {
    const nc = await as(user);
    const refused = nextRefusal(nc);
    nc.publish(subject, "{}");
    await nc.flush();
    return !(await settled(refused));
  };
  const maySubscribe = async (user: string, subject: string): Promise<boolean> => {
    const nc = await as(user);
    let refused = false;
    nc.subscribe(subject, {
      callback: (error) => {
        refused ||= error !== null;
      },
    });
    await nc.flush();
    return !refused;
  };

  beforeAll(async () => {
    expect(shipped).toContain("sync_interval: always");
    server = await startShippedNats(dir);
  });
  afterAll(async () => {
    await Promise.all(open.map((nc) => nc.close()));
    await server.stop();
    rmSync(dir, { recursive: true });
  });

  test("the server itself accepts it", () => {
    const file = join(dir, "shipped.conf");
    writeFileSync(file, shipped);
    const env = Object.fromEntries(
      nats_users.map((u) => [`NATS_${u.toUpperCase()}_PASSWORD`, "secret"]),
    );
    execFileSync(natsBinary(), ["-t", "-c", file], { env, stdio: "pipe" });
    expect(() =>
      execFileSync(natsBinary(), ["-t", "-c", file], { env: {}, stdio: "pipe" }),
    ).toThrow(/variable reference/);
  });

  test("nobody enters without a name", async () => {
    await expect(connect({ servers: server.url })).rejects.toThrow(/authorization/i);
  });

  const command = "cmd.acme.conversation.1.send";
  const commit = "evt.acme.conversation.1";
  const anchor = "cmd.acme.workspace.1.anchor";
  test.for([
    ["gateway", command, true],
    ["gateway", anchor, false],
    ["gateway", "cmd.acme.workspace.1.record-export", false],
    ["gateway", "cmd.acme.workspace.1.invite", true],
    ["gateway", "cmd.accounts.account.1.register", true],
    ["gateway", commit, false],
    ["gateway", "tok.acme.1", false],
    ["gateway", "$JS.API.STREAM.CREATE.EVENTS", false],
    ["gateway", "$JS.API.CONSUMER.MSG.NEXT.COMMANDS.p0", false],
    ["gateway", "$KV.KEYS.acme.conversation.1", false],
    ["worker", anchor, true],
    ["worker", commit, true],
    ["worker", "tok.acme.1", true],
    ["worker", "$JS.API.STREAM.CREATE.EVENTS", true],
    ["worker", "$JS.API.STREAM.DELETE.EVENTS", false],
    ["worker", "$JS.API.STREAM.PURGE.EVENTS", false],
    ["projector", "position.messages", true],
    ["projector", commit, false],
    ["projector", command, false],
    ["projector", "feed.acme.turn.completed.1", false],
    ["feed", "feed.acme.turn.completed.1", true],
    ["feed", commit, false],
    ["feed", command, false],
    ["feed", "$KV.KEYS.acme.conversation.1", false],
    ["feed", "$JS.API.STREAM.PURGE.EVENTS", false],
    ["feed", "$JS.API.STREAM.DELETE.FEED", false],
    ["projector", "$KV.KEYS.acme.conversation.1", false],
    ["integrator", command, true],
    ["integrator", "cmd.other.conversation.1.send", false],
    ["integrator", anchor, false],
    ["integrator", "cmd.acme.workspace.1.invite", false],
    ["integrator", "cmd.acme.account.1.register", false],
    ["integrator", "cmd.accounts.account.1.register", false],
    ["integrator", "timer.acme.conversation.1.send.x", false],
    ["integrator", "reply.acme.x", false],
    ["integrator", "feed.acme.turn.completed.1", false],
    ["integrator", "dead.commands.acme.conversation.1", false],
    ["integrator", "tok.acme.1", false],
    ["integrator", "$JS.API.STREAM.MSG.GET.EVENTS", false],
    ["integrator", "$JS.API.DIRECT.GET.EVENTS.evt.acme.conversation.1", false],
    ["integrator", "$JS.API.STREAM.MSG.GET.FEED", false],
    ["integrator", "$JS.API.DIRECT.GET.FEED.feed.other.turn.completed.1", false],
    ["integrator", "$JS.API.CONSUMER.CREATE.FEED.acme", false],
    ["integrator", "$JS.API.CONSUMER.CREATE.FEED.other.feed.acme.>", false],
    ["integrator", "$JS.API.CONSUMER.DURABLE.CREATE.FEED.acme", false],
    ["integrator", "$JS.API.CONSUMER.MSG.NEXT.FEED.other", false],
    ["integrator", "$JS.API.CONSUMER.CREATE.COMMANDS.acme.cmd.*.acme.>", false],
    ["integrator", commit, false],
    // Whoever made it could have it deliver to any subject of ours.
    ["integrator", "$JS.API.CONSUMER.CREATE.FEED.acme.feed.acme.>", false],
    ["integrator", "colloquy.feed.create.x", false],
    ["integrator", "$JS.API.CONSUMER.DELETE.FEED.acme", false],
    ["integrator", "$JS.API.CONSUMER.INFO.FEED.other", false],
    ["integrator", "colloquy.feed.info", true],
    ["integrator", "colloquy.feed.next", true],
    ["integrator", "$JS.API.CONSUMER.CREATE.FEED.acme.feed.other.>", false],
    ["integrator", "$JS.API.CONSUMER.CREATE.EVENTS.acme.evt.acme.>", false],
    ["integrator", "$JS.API.DIRECT.GET.KV_KEYS.$KV.KEYS.acme.conversation.1", false],
    ["colloquy", commit, true],
    ["colloquy", "$JS.API.STREAM.DELETE.EVENTS", false],
  ] as const)("I10: %s publishes on %s: %s", async ([user, subject, allowed]) => {
    expect(await mayPublish(user, subject)).toBe(allowed);
  });

  test.for([
    ["gateway", "live.acme.conversation.1", true],
    ["gateway", commit, false],
    ["worker", command, false],
    ["integrator", "reply.acme.x", true],
    ["integrator", "reply.other.x", false],
    ["integrator", "reply.>", false],
    ["integrator", "_INBOX.>", false],
    ["integrator", "_INBOX.other.x", false],
    ["integrator", "feed.acme.>", false],
    ["integrator", "tok.acme.1", false],
    ["integrator", commit, false],
    ["integrator", command, false],
    ["feed", "live.acme.conversation.1", false],
    ["feed", "reply.acme.x", false],
    ["integrator", "live.acme.conversation.1", false],
  ] as const)("I10: %s listens to %s: %s", async ([user, subject, allowed]) => {
    expect(await maySubscribe(user, subject)).toBe(allowed);
  });
});

/** Resolves true when the server refuses something that this connection did. */
async function nextRefusal(nc: NatsConnection): Promise<boolean> {
  for await (const status of nc.status()) if (status.type === "error") return true;
  return false;
}
/** What a promise came to by now: the refusal precedes the answer to the flush. */
async function settled(refused: Promise<boolean>): Promise<boolean> {
  return Promise.race([refused, new Promise<boolean>((no) => setImmediate(() => no(false)))]);
}

interface Compose {
  services: Record<
    string,
    {
      image?: string;
      build?: string;
      environment?: Record<string, string>;
      volumes?: string[];
      healthcheck?: { test: string[] };
      depends_on?: Record<string, { condition: string }>;
    }
  >;
  volumes: Record<string, null>;
}

describe("docker-compose.yml", () => {
  // The parser knows no shape; the tests below check every part of it that they read.
  const compose = parse(readFileSync(join(root, "docker-compose.yml"), "utf8")) as Compose;
  const of = (name: string) => compose.services[name] ?? expect.fail(`no service ${name}`);

  test("has the four services, each from an image with a version or from this clone", () => {
    expect(Object.keys(compose).toSorted()).toEqual(["services", "volumes"]);
    expect(Object.keys(compose.services).toSorted()).toEqual([
      "colloquy",
      "nats",
      "postgres",
      "redis",
    ]);
    for (const service of Object.values(compose.services)) {
      expect(service.build ?? service.image).toMatch(/^\.$|^[\w./-]+:\d/);
    }
  });

  test("Colloquy starts after healthy servers and points at each of them", () => {
    const { depends_on, environment } = of("colloquy");
    for (const [name, key] of [
      ["nats", "NATS_URL"],
      ["postgres", "DATABASE_URL"],
      ["redis", "REDIS_URL"],
    ] as const) {
      expect(depends_on?.[name]).toEqual({ condition: "service_healthy" });
      expect(of(name).healthcheck?.test[0]).toBe("CMD");
      const url = environment?.[key]?.replaceAll(/\$\{[^}]*\}/g, "secret") ?? "";
      expect(new URL(url).hostname).toBe(name);
    }
  });

  test("every volume it mounts is declared, and NATS gets every password of nats.conf", () => {
    for (const { volumes = [] } of Object.values(compose.services)) {
      for (const source of volumes.map((volume) => volume.split(":")[0] ?? "")) {
        if (!source.startsWith(".")) expect(Object.keys(compose.volumes)).toContain(source);
      }
    }
    const needed = [...shipped.matchAll(/^\s*password: \$(\w+)$/gm)].map(([, name = ""]) => name);
    expect(needed).toHaveLength(nats_users.length);
    expect(Object.keys(of("nats").environment ?? {}).toSorted()).toEqual(needed.toSorted());
  });

  test("the script of CONTRIBUTING.md makes every secret that it asks for", () => {
    const page = readFileSync(join(root, "CONTRIBUTING.md"), "utf8");
    const script = /## Secrets for Docker Compose[^]*?```sh\n([^]*?)```/.exec(page)?.[1] ?? "";
    const folder = temporary("secrets");
    execFileSync("/bin/bash", ["-ec", script], { cwd: folder });
    const made = readFileSync(join(folder, ".env"), "utf8");
    const asked = JSON.stringify(compose).matchAll(/\$\{(\w+):\?/g);
    const names = new Set([...asked].map(([, name = ""]) => name));
    expect(names.size).toBe(9);
    for (const name of names) expect(made).toMatch(new RegExp(`^${name}=p?[0-9a-f]{32,}$`, "m"));
    rmSync(folder, { recursive: true });
  });
});
