/** `colloquy events tail` and `replay`, on an installation that runs and on one at rest. */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { cpSync, rmSync } from "node:fs";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { afterAll, beforeAll, expect, test, vi } from "vitest";
import { readText } from "../../cli/folder/data-folder.ts";
import { systemIds } from "../../schemas/ids.ts";
import { isForeignSubject } from "../../schemas/subjects.ts";
import { connectStreams } from "../../streams/connection.ts";
import { temporary } from "../support/services.ts";
import { colloquy, environment, type Served, startServe } from "../system/serve.ts";
import { ran } from "./running.ts";
import { type Made, makeInstallation } from "./installation.ts";

let folder: string;
let made: Made;
let data: string;
beforeAll(async () => {
  folder = temporary("follow");
  vi.stubEnv("NATS_URL", undefined);
  vi.stubEnv("DATABASE_URL", undefined);
  made = await makeInstallation(folder, 200);
  data = made.rested;
});
afterAll(() => vi.unstubAllEnvs());
afterAll(() => rmSync(folder, { recursive: true, force: true, maxRetries: 10 }));

interface Event {
  readonly id: string;
  readonly sequence: number;
  readonly tenant: string;
  readonly actor: string;
  readonly revision: number;
  readonly type: string;
  readonly at: string;
  readonly data: { readonly text?: string };
}
const parsed = (out: string): Event[] =>
  out
    .split("\n")
    .filter((line) => line !== "")
    .map((line) => JSON.parse(line) as Event); // what the command under test says
const replayed = async (...words: string[]): Promise<Event[]> => {
  const { code, out, err } = await ran("events", "replay", ...words, "--data", data);
  expect([code, err]).toEqual([0, ""]);
  return parsed(out);
};

test("a replay gives out every event once, in order, with its content, from a place to a place", async () => {
  const all = await replayed("--from", "1");
  expect(all.map(({ sequence }) => sequence)).toEqual(
    Array.from({ length: 40 }, (_, at) => Math.floor(at / 2) + 1),
  );
  expect(new Set(all.map(({ id }) => id)).size).toBe(40);
  expect(all[1]).toMatchObject({ type: "message.added", revision: 2, data: { text: "and more" } });
  expect((await replayed("--from", "3", "--to", "4")).map(({ sequence }) => sequence)).toEqual([
    3, 3, 4, 4,
  ]);
  expect(await replayed("--from", "21")).toEqual([]);
  const [zeta, one] = [
    await replayed("--from", "1", "--tenant", "zeta"),
    await replayed("--from", "1", "--id", made.refs[0]?.id ?? ""),
  ];
  expect(zeta.map(({ tenant }) => tenant)).toEqual(Array.from({ length: 12 }, () => "zeta"));
  expect(one.map(({ revision }) => revision)).toEqual(Array.from({ length: 14 }, (_, n) => n + 1));
  expect(await replayed("--from", "1", "--type", "conversation.titled")).toEqual([]);
  // By time: what was made then and later, and before the end.
  const middle = all[20]?.at ?? "";
  const since = all.filter(({ at }) => at >= middle);
  expect(await replayed("--from", middle)).toEqual(since);
  expect(await replayed("--from", "1", "--to", middle)).toEqual(
    all.filter(({ at }) => at < middle),
  );
  expect(await replayed("--from", "2200-01-01")).toEqual([]);
});

test("a rate is kept, and wrong words are refused with what would be right", async () => {
  const began_ms = performance.now();
  await replayed("--from", "1", "--to", "4", "--rate", "40");
  expect(performance.now() - began_ms).toBeGreaterThan((7 / 40) * 1_000 - 5);
  for (const [words, why] of [
    [["replay"], "replay needs --from, a sequence or a time."],
    [["replay", "--from", "yesterday"], "--from is a sequence, or a time like"],
    [["replay", "--from", "1", "--rate", "0"], "--rate is events a second"],
    [["replay", "--from", "1", "--subject", "evt.acme.x"], "--subject evt.acme.x is not one"],
    [["tail", "--type", "message.aded"], "did you mean message.added?"],
    [["tail", "--tenent", "acme"], "did you mean --tenant?"],
  ] as const) {
    const { code, err } = await ran("events", ...words);
    expect([code, err]).toEqual([2, expect.stringContaining(why)]);
  }
});

test("I10: nothing is published where our own messages are, or the server's, or on many subjects at once", () => {
  for (const root of "evt live cmd timer tok feed dead reply position worker".split(" ")) {
    expect([root, isForeignSubject(root), isForeignSubject(`${root}.a.b`)]).toEqual([
      root,
      false,
      false,
    ]);
  }
  for (const subject of [
    "$JS.API.x",
    "$KV.KEYS.x",
    "_INBOX.x",
    "a.*",
    "a.>",
    ">",
    "a..b",
    ".a",
    "a b",
    "a.",
    "",
  ]) {
    expect([subject, isForeignSubject(subject)]).toEqual([subject, false]);
  }
  for (const subject of ["erp.events", "events", "cmds.x", "A-1.b_2"]) {
    expect([subject, isForeignSubject(subject)]).toEqual([subject, true]);
  }
});

test("at rest a tail shows the last ten commits, and nothing of what was written moves a terminal", async () => {
  const { code, out } = await ran("events", "tail", "--once", "--data", data);
  const lines = out.trimEnd().split("\n");
  expect([code, lines.length]).toEqual([0, 20]);
  expect(lines[0]).toMatch(
    /^11 {2}\S+ {2}acme conversation \S+ 7\/8 {2}message\.added {2}user ann {2}\{/,
  );
  // oxlint-disable-next-line no-control-regex
  expect(out).not.toMatch(/[\u0000-\u0009\u000b-\u001f\u007f-\u009f]/);
});

/** A tail as a process of its own. */
function tail(...words: string[]) {
  const child = spawn(process.execPath, ["cli/main.ts", "events", "tail", ...words], {
    env: environment(data, {}),
    stdio: ["ignore", "pipe", "inherit"],
  });
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  const closed = once(child, "close") as Promise<[number | null]>; // a process's exit code
  return { child, closed, next: async () => String((await lines.next()).value) };
}

test("a tail follows what comes until Ctrl-C or until nobody reads; a replay feeds a subject", async () => {
  const served: Served = await startServe(data);
  try {
    const all = tail("--json", "--type", "message.added");
    const people = tail("--tenant", "main");
    // The ten that were there: then it follows.
    for (let n = 0; n < 20; n++) expect(JSON.parse(await all.next())).toMatchObject({ data: {} });
    const command = systemIds();
    const conversation = systemIds();
    const client = served.client();
    const text = "\u001b]0;owned\u0007 hello";
    await client.send(conversation, text, { id: command });
    expect(JSON.parse(await all.next())).toMatchObject({
      ...{ tenant: "main", actor: conversation, revision: 2, command, data: { text } },
    });
    const shown = [await people.next(), await people.next()];
    expect(shown[1]).toContain(String.raw`\u001b]0;owned\u0007 hello`);
    expect(shown.join("")).not.toContain("\u001b");
    all.child.kill("SIGINT");
    expect((await all.closed)[0]).toBe(0);
    people.child.stdout.destroy();
    await client.send(conversation, "one more");
    expect((await people.closed)[0]).toBe(0);
    client.close();

    const port = readText(join(data, "nats", "port")) ?? "";
    const theirs = await connectStreams({ url: `nats://127.0.0.1:${port}`, name: "theirs" });
    const got: string[] = [];
    theirs.nc.subscribe("erp.events", {
      callback: (_, message) => {
        expect(message.headers?.get("Nats-Msg-Id")).toBe(message.json<Event>().id);
        got.push(message.json<Event>().id);
      },
    });
    await theirs.nc.flush();
    const words = ["--from", "1", "--to", "20", "--subject", "erp.events", "--data", data];
    const { code, out, err } = await ran("events", "replay", ...words);
    expect([code, out, err]).toEqual([0, "", "40 events were published on erp.events.\n"]);
    await expect.poll(() => got.length).toBe(40);
    await theirs.close();
    expect(got).toEqual((await replayed("--from", "1", "--to", "20")).map(({ id }) => id));

    const anchored = await colloquy(["anchors", "make", "--json"], { folder: data });
    const [line = ""] = anchored.out.split("\n");
    const { root } = JSON.parse(line) as { root: string }; // what the command says
    const proof = await ran("events", "verify", "--anchor", root, "--data", data);
    expect([proof.code, proof.out]).toEqual([0, expect.stringMatching(/ and [1-9]\d* anchors\./)]);
  } finally {
    await served.end("SIGTERM");
  }
});

test("I8: read models that are ahead of the log are heard, and refuse it", async () => {
  const whole = await ran("events", "verify", "--json", "--data", data);
  // The head file, and every read model.
  expect(JSON.parse(whole.out)).toMatchObject({ whole: true, findings: [] });
  // A log of before, as from a backup, beside the database of today.
  rmSync(join(data, "nats"), { recursive: true });
  rmSync(join(data, "head"));
  cpSync(join(made.cut, "nats"), join(data, "nats"), { recursive: true });
  const { code, out } = await ran("events", "verify", "--json", "--data", data);
  const { findings } = JSON.parse(out) as { findings: { sentence: string }[] }; // what it says
  expect([code, findings.map(({ sentence }) => sentence).join(" ")]).toEqual([
    1,
    expect.stringMatching(
      /The read model messages .* seen a commit at \d+, but the log ends at 20/,
    ),
  ]);
  const served = await colloquy(["serve"], { folder: data });
  expect([served.code, served.err]).toEqual([
    1,
    expect.stringMatching(/^The read model .* are missing\. Restore .*nats from the backup/m),
  ]);
});
