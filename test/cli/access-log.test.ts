/** Where the access log goes: what nobody takes is bounded and counted, and holds up nobody. */
import { closeSync, mkdtempSync, openSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Writable } from "node:stream";
import { afterEach, expect, test } from "vitest";
import { openAccessLog, toFile, toStream } from "../../cli/access-log.ts";
import { readConfig } from "../../cli/config.ts";
import { logsAccess } from "../../cli/config/settings.ts";
import { systemClock } from "../../schemas/ids.ts";
import { limits } from "../../schemas/limits.ts";

const ends: (() => void)[] = [];
afterEach(() => {
  for (const end of ends.splice(0)) end();
});

test("I11: lines that nobody takes are bounded and counted, and the log says so when it goes on", async () => {
  let reads = false;
  let take: () => void = () => undefined;
  let text = "";
  const stuck = new Writable({
    write(chunk: Buffer, _, done) {
      text += chunk.toString();
      if (reads) done();
      else take = done;
    },
  });
  const sink = openAccessLog(toStream(stuck), systemClock);
  const line = "x".repeat(1_000);
  const many = 5_000;
  for (let n = 0; n < many; n++) sink.write(line);
  const held = stuck.writableLength + (many - sink.dropped()) * line.length;
  expect(sink.dropped()).toBeGreaterThan(3_000);
  // What is being written, and what waits behind it.
  expect(held).toBeLessThan(limits.access_log_chars_max + 3 * limits.access_log_write_chars);
  // Whoever stops does not wait for it for ever.
  await sink.stop();
  const lost = sink.dropped();
  reads = true;
  take();
  await sink.stop();
  const all = text.trimEnd().split("\n");
  const told = all.filter((one) => one.includes('"event":"dropped"'));
  expect(told.map((one) => Number(/"lines":(\d+)/.exec(one)?.[1]))).toEqual([lost]);
  expect(all.length - 1 + lost).toBe(many);
});

test("a file that has no room today may have it tomorrow", async () => {
  const full = openSync("/dev/full", "w");
  const folder = mkdtempSync(join(tmpdir(), "access-"));
  const path = join(folder, "log");
  const file = openSync(path, "a");
  ends.push(
    () => closeSync(full),
    () => closeSync(file),
    () => rmSync(folder, { recursive: true }),
  );
  let fd = full;
  const sink = openAccessLog((text, done) => toFile(fd)(text, done), systemClock);
  sink.write("lost");
  sink.write("too");
  await sink.stop();
  expect(sink.dropped()).toBe(2);
  fd = file;
  sink.write("kept");
  await sink.stop();
  const [first = "", ...rest] = readFileSync(path, "utf8").split("\n");
  expect(JSON.parse(first)).toMatchObject({ event: "dropped", lines: 2 });
  expect(rest).toEqual(["kept", ""]);
});

test("it is written where somebody operates servers, or where it is asked for", () => {
  const logs = (environment: Record<string, string>): boolean =>
    logsAccess(readConfig({}, environment));
  const operated = { NATS_URL: "nats://127.0.0.1:4222" };
  expect([logs({}), logs(operated)]).toEqual([false, true]);
  expect(logs({ COLLOQUY_ACCESS_LOG: "on" })).toBe(true);
  expect(logs({ ...operated, COLLOQUY_ACCESS_LOG: "off" })).toBe(false);
});
