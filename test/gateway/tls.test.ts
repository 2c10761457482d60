/** https and wss with a certificate made here, renewed while clients are connected; and the farewell. */
import { execFileSync } from "node:child_process";
import { copyFileSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { Agent, request } from "node:https";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Socket } from "node:net";
import { connect as tlsConnect } from "node:tls";
import { beforeAll, describe, expect, test } from "vitest";
import { WebSocket } from "ws"; // typed by ws-client.d.ts
import { endOrphans } from "../../cli/folder/data-folder.ts";
import { followCertificate } from "../../gateway/http/certificate.ts";
import type { Gateway } from "../../gateway/server.ts";
import { AppError } from "../../schemas/errors.ts";
import { systemIds } from "../../schemas/ids.ts";
import { limits } from "../../schemas/limits.ts";
import { commandPublisher } from "../../streams/queue/commands.ts";
import { steppedClock } from "../actors/stepped-clock.ts";
import { secret } from "../streams/system.ts";
import { startServe } from "../system/serve.ts";
import { openForeign } from "./foreign.ts";
import { type Running, startRunning } from "./running.ts";

let running: Running;
let folder: string;
beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), "colloquy-tls-"));
  running = await startRunning();
  return async () => {
    await running.stop();
    rmSync(folder, { recursive: true });
  };
});

/** A self-signed pair of 127.0.0.1; `days` may be 0. */
function certificate(name: string): { cert: string; key: string } {
  const cert = join(folder, `${name}.crt`);
  const key = join(folder, `${name}.key`);
  execFileSync(
    "openssl",
    [
      ...["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"],
      ...["-keyout", key, "-out", cert, "-days", "2", "-subj", `/CN=${name}`],
      ...["-addext", "subjectAltName=IP:127.0.0.1"],
    ],
    { stdio: "ignore" },
  );
  return { cert, key };
}

const get = (gateway: Gateway, path: string, ca: string): Promise<[number, string]> =>
  new Promise((resolve, reject) => {
    const agent = new Agent({ ca, keepAlive: false });
    const call = request(`${gateway.url}${path}`, { agent }, (answer) => {
      answer.resume();
      const { statusCode = 0, headers } = answer;
      resolve([statusCode, headers["strict-transport-security"] ?? ""]);
    });
    call.on("error", reject).end();
  });
/** The name in the certificate that a new connection is shown. */
const shown = (gateway: Pick<Gateway, "port">): Promise<string> =>
  new Promise((resolve, reject) => {
    const socket = tlsConnect(gateway.port, "127.0.0.1", { rejectUnauthorized: false }, () => {
      resolve(String(socket.getPeerCertificate().subject["CN"]));
      socket.destroy();
    });
    socket.on("error", reject);
  });

describe("TLS", () => {
  test("https and wss; a renewed certificate is for new connections, and the old ones stay", async () => {
    const first = certificate("first");
    const second = certificate("second");
    const files = { cert: join(folder, "live.crt"), key: join(folder, "live.key") };
    const put = ({ cert, key }: { cert: string; key: string }): void => {
      copyFileSync(cert, files.cert);
      copyFileSync(key, files.key);
    };
    put(first);
    const gateway = await running.another({}, { tls: files });
    expect(gateway.url).toMatch(/^https:/);
    const ca = readFileSync(first.cert, "utf8");
    expect(await get(gateway, "/health", ca)).toEqual([200, "max-age=31536000"]);
    const socket = new WebSocket(
      `${gateway.url.replace("https", "wss")}/ws/chat`,
      ["colloquy.v1", `bearer.${await running.token("tls")}`],
      { ca },
    );
    const heard: string[] = [];
    let news = (): void => {};
    socket.on("message", (data: Uint8Array) => {
      heard.push(Buffer.from(data).toString());
      news();
    });
    const hear = async (what: string): Promise<void> => {
      while (!heard.some((one) => one.includes(what))) {
        await new Promise<void>((resolve) => (news = resolve));
      }
    };
    await hear('"ready"');

    put(second);
    gateway.reload();
    expect(await shown(gateway)).toBe("second");
    await expect(get(gateway, "/health", ca)).rejects.toThrow(/self-signed|certificate/);
    expect((await get(gateway, "/health", readFileSync(second.cert, "utf8")))[0]).toBe(200);
    socket.send('{"type":"ping"}');
    await hear('"pong"');

    // Half a renewal, and rubbish: what works goes on.
    copyFileSync(first.cert, files.cert);
    expect(() => gateway.reload()).toThrow(AppError);
    writeFileSync(files.cert, "rubbish");
    expect(() => gateway.reload()).toThrow(/cannot be used/);
    expect(await shown(gateway)).toBe("second");

    const closed = new Promise<number>((resolve) => socket.on("close", (code) => resolve(code)));
    await gateway.stop(1_000);
    expect(await closed).toBe(1012);
    await hear('"shutting_down"');
    await expect(shown(gateway)).rejects.toThrow(/ECONNREFUSED/);
  });

  test("SIGHUP makes the real serve take the renewed pair, and nothing else of it changes", async () => {
    const first = certificate("served");
    const second = certificate("renewed");
    const data = join(folder, "data");
    const env = { COLLOQUY_TLS_CERT: first.cert, COLLOQUY_TLS_KEY: first.key };
    const serve = await startServe(data, env);
    try {
      const { url } = serve;
      expect(url).toMatch(/^https:/);
      const gateway = { port: Number(new URL(url).port) };
      // One connection throughout: what is asked on it was not asked anew.
      const ca = readFileSync(first.cert, "utf8");
      const old = new Agent({ ca, keepAlive: true, maxSockets: 1 });
      const known: (Socket | null)[] = [];
      const ask = (): Promise<number> =>
        new Promise((resolve, reject) => {
          const call = request(`${url}/health`, { agent: old }, (answer) => {
            answer.resume().on("end", () => resolve(answer.statusCode ?? 0));
          });
          call.on("socket", (socket) => known.push(socket));
          call.on("error", reject).end();
        });
      expect([await ask(), await shown(gateway)]).toEqual([200, "served"]);
      copyFileSync(second.cert, first.cert);
      copyFileSync(second.key, first.key);
      process.kill(serve.pid, "SIGHUP");
      await expect.poll(() => shown(gateway)).toBe("renewed");
      expect(await ask()).toBe(200);
      writeFileSync(first.cert, "rubbish");
      process.kill(serve.pid, "SIGHUP");
      const stays = /the certificate stays what it was/;
      await expect.poll(() => serve.complaints.some((line) => stays.test(line))).toBe(true);
      expect([await ask(), await shown(gateway)]).toEqual([200, "renewed"]);
      expect(new Set(known).size).toBe(1);
      old.destroy();
      expect(await serve.end("SIGTERM")).toBe(0);
    } finally {
      await serve.end("SIGKILL");
      await endOrphans(data, () => undefined);
    }
  });

  test("a pair that cannot be used ends the start with a sentence", async () => {
    const one = certificate("one");
    const other = certificate("other");
    const starts = (tls: { cert: string; key: string }): Promise<Gateway> =>
      running.another({}, { tls });
    await expect(starts({ cert: one.cert, key: other.key })).rejects.toThrow(/cannot be used/);
    await expect(starts({ ...one, key: join(folder, "none") })).rejects.toThrow(/ENOENT/);
  });

  test("a change of the files is noticed by itself, once", () => {
    const files = certificate("followed");
    const clock = steppedClock();
    let changes = 0;
    const end = followCertificate(files, clock, () => changes++);
    clock.step(3 * limits.certificate_look_ms);
    expect(changes).toBe(0);
    writeFileSync(files.cert, "another");
    clock.step(3 * limits.certificate_look_ms);
    expect(changes).toBe(1);
    end();
    expect(clock.next()).toBe(false);
  });
});

test("before the end readiness says no, connections end behind their answers, no socket begins", async () => {
  const ready = async () => ({ ready: true, checks: [] });
  const gateway = await running.another({ ready });
  const before = await fetch(`${gateway.url}/ready`);
  expect([before.status, before.headers.get("connection")]).toEqual([200, null]);
  await before.text();
  const client = await running.connect({ at: gateway, user: "farewell" });
  gateway.retire();
  const after = await fetch(`${gateway.url}/ready`);
  expect([after.status, after.headers.get("connection")]).toEqual([503, "close"]);
  expect(await after.json()).toMatchObject({ ready: false, checks: [{ name: "gateway" }] });
  expect((await fetch(`${gateway.url}/health`)).status).toBe(200);
  const late = openForeign(gateway.url, await running.token("farewell"));
  expect((await late.closed).code).toBe(1006);
  // Who is connected is served to the end, and then told where to go.
  client.send({ type: "ping" });
  await client.next("pong");
  const [told] = await Promise.all([client.next("error"), gateway.stop(1_000)]);
  expect(told.code).toBe("shutting_down");
  expect(await client.closed).toMatchObject({ code: 1012, reason: "shutting_down" });
});

test("what is under way at the end is answered before its socket or connection ends", async () => {
  const stored = Promise.withResolvers<void>();
  const asked = { acme: Promise.withResolvers<void>(), other: Promise.withResolvers<void>() };
  const { streams } = await running.world.system.client();
  const { publish } = commandPublisher(streams, secret);
  const gateway = await running.another({
    publish: {
      async publish(command) {
        asked[command.ref.tenant === "acme" ? "acme" : "other"].resolve();
        await stored.promise;
        return publish(command);
      },
    },
  });
  const client = await running.connect({ at: gateway, user: "leaver" });
  client.send({ type: "send", id: systemIds(), conversation: systemIds(), text: "one moment" });
  const posted = fetch(`${gateway.url}/api/v1/conversations`, {
    method: "POST",
    headers: { authorization: `Bearer ${await running.token("leaver", "other")}` },
  });
  await Promise.all([asked.acme.promise, asked.other.promise]);
  const stopped = gateway.stop(20_000);
  stored.resolve();
  expect((await posted).status).toBe(201);
  await Promise.all([stopped, client.closed]);
  const told = client.frames.map(({ type }) => type);
  expect(told).toContain("ack");
  expect(told.indexOf("ack")).toBeLessThan(told.indexOf("error"));
});
