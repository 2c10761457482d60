/** `colloquy deadletters` as an operator types it, on a running installation and on one at rest. */
import { rmSync } from "node:fs";
import { join } from "node:path";
import { headers } from "@nats-io/transport-node";
import { afterAll, beforeAll, beforeEach, expect, test, vi } from "vitest";
import { CliError } from "../../cli/line/cli-error.ts";
import { folderSecret, readText } from "../../cli/folder/data-folder.ts";
import { runCommand } from "../../cli/line/command.ts";
import { deadletters } from "../../cli/letters/dead-letters.ts";
import { systemIds } from "../../schemas/ids.ts";
import { deadSubject } from "../../schemas/subjects.ts";
import { bySigner } from "../../streams/queue/by.ts";
import { connectStreams, type Streams } from "../../streams/connection.ts";
import { temporary } from "../support/services.ts";
import { colloquy, type Served, startServe } from "../system/serve.ts";

let folder: string;
let served: Served;
let streams: Streams;
const begin = async (): Promise<void> => {
  served = await startServe(folder);
  const port = readText(join(folder, "nats", "port")) ?? "";
  streams = await connectStreams({ url: `nats://127.0.0.1:${port}`, name: "test" });
};
const end = async (): Promise<void> => {
  await streams.close();
  await served.end("SIGTERM");
};
beforeAll(async () => {
  folder = temporary("deadletters");
  vi.stubEnv("NATS_URL", undefined);
  await begin();
});
afterAll(async () => {
  vi.unstubAllEnvs();
  await end();
  rmSync(folder, { recursive: true, force: true, maxRetries: 10 });
});
beforeEach(async () => {
  await streams.jsm.streams.purge("DEAD");
});

const text = "what only its reader may see";
interface Buried {
  readonly tenant?: string;
  readonly conversation?: string;
  readonly command?: string;
  readonly reason?: string;
  readonly payload?: string;
}

/** A message that was given up on, as a worker buries it. */
async function bury({
  tenant = "main",
  conversation = systemIds(),
  command = systemIds(),
  reason = "TypeError: it failed",
  payload = JSON.stringify({ id: command, data: { text } }),
}: Buried = {}): Promise<{ letter: number; conversation: string; command: string }> {
  const made = headers();
  const by = { type: "user", id: "you" } as const;
  const signature = bySigner(folderSecret(folder, "secret")).sign(by, tenant, command);
  made.set("Colloquy-Code", "command_dead");
  made.set("Colloquy-Reason", reason);
  made.set("Colloquy-Command", command);
  made.set("Colloquy-Subject", `cmd.0.${tenant}.conversation.${conversation}.send`);
  made.set("Colloquy-Sequence", "7");
  made.set("Colloquy-Stored", "2026-01-01T00:00:00.000Z");
  made.set("Colloquy-Deliveries", "4");
  made.set("Original-Colloquy-By", signature);
  const subject = deadSubject("commands", { tenant, kind: "conversation", id: conversation });
  const { seq } = await streams.js.publish(subject, payload, { headers: made });
  return { letter: seq, conversation, command };
}

interface Row {
  readonly letter: number;
  readonly tenant: string | null;
  readonly outcome?: string;
  readonly revision?: number;
  readonly payload?: string;
}
/** Runs the command in this process, which is quicker than one of its own. */
async function human(...words: string[]): Promise<{ code: number; out: string; err: string }> {
  let out = "";
  const writing = vi.spyOn(process.stdout, "write").mockImplementation((text) => {
    out += String(text);
    return true;
  });
  try {
    return {
      code: await runCommand("deadletters", deadletters, [...words, "--data", folder]),
      out,
      err: "",
    };
  } catch (error) {
    if (!(error instanceof CliError)) throw error;
    return { code: error.exit, out, err: error.message };
  } finally {
    writing.mockRestore();
  }
}
async function desk<T = Row[]>(...words: string[]): Promise<{ code: number; said: T }> {
  const { code, out, err } = await human(...words, "--json");
  expect(err).toBe("");
  return { code, said: JSON.parse(out) as T }; // what the command under test says
}

test("I2: letters are listed without their content, shown with it, and sent again to take effect once", async () => {
  const typed = await colloquy(["deadletters"], { folder });
  expect(typed).toEqual({ code: 0, out: "There are no dead letters.\n", err: "" });
  const { letter, conversation, command } = await bury();
  await bury({ tenant: "zeta" });
  const { said } = await desk("list");
  expect(said.map(({ tenant }) => tenant)).toEqual(["main", "zeta"]);
  expect(said[0]).toMatchObject({
    ...{ letter, id: conversation, name: "send", command, code: "command_dead", deliveries: 4 },
    ...{ reason: "TypeError: it failed", stored: "2026-01-01T00:00:00.000Z", stuck: null },
  });
  expect((await desk("list", "--tenant", "zeta")).said).toHaveLength(1);
  expect((await desk("list", "--limit", "1")).said).toHaveLength(1);
  const listed = await human("list");
  expect(listed.out).toContain(command);
  expect(JSON.stringify(said) + listed.out).not.toContain(text);

  const shown = await human("show", command);
  expect(shown.out).toContain(text);
  expect((await desk<Row>("show", String(letter))).said.payload).toContain(text);

  const { code, said: resent } = await desk("retry", command);
  expect([code, resent]).toMatchObject([0, [{ letter, command, outcome: "done", revision: 3 }]]);
  const of_it = await served.get<{ items: { id: string; text: string }[] }>(
    `/api/v1/conversations/${conversation}/messages`,
  );
  expect(of_it.items.filter(({ id }) => id === command).map((one) => one.text)).toEqual([text]);

  // Meanwhile it took effect; the same command lies there once more and is answered the same.
  await bury({ conversation, command });
  const again = await desk("retry", "--all", "--tenant", "main");
  expect([again.code, again.said]).toMatchObject([0, [{ outcome: "done", revision: 3 }]]);
  expect((await desk("list")).said.map(({ tenant }) => tenant)).toEqual(["zeta"]);
});

test("what lies there cannot speak to the terminal, and what is stuck is told and kept", async () => {
  const reason = "\u001b[2J\u009b31m\u202e clear";
  const { letter } = await bury({ reason, payload: "\u001b]0;owned\u0007 not JSON \u009b" });
  const lost = await bury({ command: "x" });
  for (const shown of [
    await human("list"),
    await human("show", String(letter)),
    await human("show", String(lost.letter)),
  ]) {
    expect(shown.code).toBe(0);
    // oxlint-disable-next-line no-control-regex
    expect(shown.out).not.toMatch(/[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u202e]/);
  }
  const { code, said } = await desk("retry", String(lost.letter));
  expect([code, said]).toMatchObject([1, [{ letter: lost.letter, outcome: "stuck" }]]);
  expect((await desk("list")).said).toHaveLength(2);
});

test("letters are dropped by number, by command, or all of a tenant's when that is confirmed", async () => {
  const [one, two] = [await bury(), await bury()];
  await bury();
  await bury({ tenant: "zeta" });
  expect((await desk<object>("drop", String(one.letter), two.command)).said).toEqual({
    dropped: 2,
  });
  const gone = await human("show", String(one.letter));
  expect([gone.code, gone.err]).toEqual([1, `There is no dead letter ${one.letter}.`]);
  const doubtful = await human("drop", "--all");
  expect([doubtful.code, doubtful.err]).toMatchObject([2, expect.stringContaining("--yes")]);
  expect((await desk("list")).said).toHaveLength(2);
  expect((await desk<object>("drop", "--all", "--yes", "--tenant", "main")).said).toEqual({
    dropped: 1,
  });
  expect((await desk("list")).said.map(({ tenant }) => tenant)).toEqual(["zeta"]);
});

test("two letters of one id are told apart, and a wrong word does nothing", async () => {
  const { command, letter } = await bury();
  const other = await bury({ command, tenant: "zeta" });
  const both = await human("retry", command);
  expect([both.code, both.err]).toMatchObject([
    1,
    expect.stringContaining(`${letter}, ${other.letter}`),
  ]);
  const half = await human("drop", String(letter), "999");
  expect([half.code, half.err]).toEqual([1, "There is no dead letter 999."]);
  expect((await desk("list")).said).toHaveLength(2);
  const { said } = await desk("retry", command, "--tenant", "zeta");
  expect(said).toMatchObject([{ letter: other.letter, outcome: "done" }]);
});

test("an installation at rest is opened for the command alone; what is sent again waits there", async () => {
  const { letter, conversation, command } = await bury();
  await end();
  expect((await desk("list")).said).toMatchObject([{ letter }]);
  const { code, said } = await desk("retry", "--all");
  expect([code, said]).toMatchObject([0, [{ outcome: "queued" }]]);
  await begin();
  const path = `/api/v1/conversations/${conversation}/messages`;
  await expect
    .poll(() => served.get<{ items: { id: string }[] }>(path).catch(() => null))
    .toMatchObject({ items: [{ id: command }, {}] });
});
