/** The gates of `npm run check`, so that `npm test` counts them like any other test. */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { text } from "node:stream/consumers";
import { expect, test } from "vitest";
import { gates } from "../scripts/gates.ts";

test.for(gates)("the gate $name passes", async ({ program, args }) => {
  const child = spawn(process.execPath, [program, ...args], { stdio: ["ignore", "pipe", "pipe"] });
  const closed = once(child, "close");
  const [out, err] = await Promise.all([text(child.stdout), text(child.stderr)]);
  await closed;
  expect(child.exitCode, `npm run check says:\n${out}${err}`).toBe(0);
});
