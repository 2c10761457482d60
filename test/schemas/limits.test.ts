/** The limits hold together, and an edit that breaks a relation between two of them stops at once. */
import { readdirSync, readFileSync } from "node:fs";
import { stripTypeScriptTypes } from "node:module";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { expect, test } from "vitest";
import { limits } from "../../schemas/limits.ts";

const schemas = join(import.meta.dirname, "../../schemas");
const source = readFileSync(join(schemas, "limits.ts"), "utf8");

/** Loads the limits as they would be with one of them changed. */
async function withLimit(name: string, value: number): Promise<unknown> {
  expect(limits).toHaveProperty(name);
  const edited = source
    .replace("\n} as const;", `\n${name}: ${value}, } as const;`)
    .replaceAll('"./limits/', `"${pathToFileURL(schemas).href}/limits/`);
  const script = stripTypeScriptTypes(edited);
  return import(/* @vite-ignore */ `data:text/javascript,${encodeURIComponent(script)}`);
}

test("every limit stands in one part", () => {
  const parts = readdirSync(join(schemas, "limits"));
  const names = parts.flatMap((part) =>
    [...readFileSync(join(schemas, "limits", part), "utf8").matchAll(/^ {2}(\w+):/gm)].map(
      ([, name]) => name,
    ),
  );
  expect(new Set(names)).toEqual(new Set(Object.keys(limits)));
  expect(names).toHaveLength(new Set(names).size);
});

test.each([
  ["ack_pending_max", 4_000, "a cancel must always get through"],
  ["working_ms", 750, "a held command is renewed twice"],
  ["pull_expires_ms", 2_000, "a pinned consumer pulls"],
  ["worker_beat_ms", 1_500, "one lost heartbeat is not a death"],
  ["duplicate_window_ms", 25_000, "the duplicate window exceeds the longest retry"],
  ["frame_bytes_max", 512 * 1024, "a client's frame fits a command"],
  ["frame_gathered_bytes_max", 64 * 1024, "a little too long is told so"],
  ["answer_chars_max", 800_000, "fits a NATS message"],
  ["ratings_per_conversation_max", 10_000, "readers who rate"],
  ["request_bytes_max", 512 * 1024, "fits a command"],
  ["request_messages_max", 254, "are one commit"],
  ["stream_look_ms", 5_000, "a streamed answer that waits"],
  ["sessions_per_account_max", 256, "a new password closes every session"],
  ["keys_per_user_max", 256, "a member's keys are revoked"],
  ["invitations_cleared_max", 256, "old invitations go"],
  ["drain_ms", 10_000, "10 s after SIGTERM"],
  ["token_frame_chars_max", 2_000_000, "a token frame fits"],
  ["answers_unread_bytes", 4 * 1024 * 1024, "told why before his buffer is full"],
  ["request_bodies_per_ip_bytes_max", 128 * 1024 * 1024, "leave room for others"],
  ["credentials_judged_per_ip_max", 500, "whoever invents credentials"],
  ["commands_in_flight_per_tenant_max", 10_000, "leaves room for others"],
])("%s cannot become %d", async (name, value, reason) => {
  await expect(withLimit(name, value)).rejects.toThrow(reason);
});

test("every relation that limits.ts asserts is tried here", () => {
  expect(source.match(/^assert\(/gm)).toHaveLength(21);
});

test("there is a wait for every attempt, and every limit is a number above zero", async () => {
  expect(limits.append_backoff_ms).toHaveLength(limits.append_attempts_max);
  expect(limits.redelivery_ms).toHaveLength(limits.deliveries_max - 1);
  for (const [name, value] of Object.entries(limits)) {
    const values: readonly number[] = typeof value === "number" ? [value] : value;
    for (const one of values) {
      expect(Number.isSafeInteger(one), name).toBe(true);
      if (typeof value === "number") expect(one, name).toBeGreaterThan(0);
    }
    // Waits grow: whatever is away is asked ever more seldom.
    expect(
      [...values].sort((a, b) => a - b),
      name,
    ).toEqual([...values]);
  }
});
