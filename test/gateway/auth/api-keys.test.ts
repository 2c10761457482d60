/** How long an API key is good, and for how long a gateway takes its word without asking the log. */
import { expect, test } from "vitest";
import { judgeApiKeys } from "../../../gateway/auth/api-keys.ts";
import { Revocations } from "../../../gateway/auth/revocations.ts";
import { hashOfSecret, newApiKey } from "../../../gateway/auth/secrets.ts";
import { noWorkspace } from "../../../gateway/auth/workspace-view.ts";
import { AppError } from "../../../schemas/errors.ts";
import { systemClock, systemIds } from "../../../schemas/ids.ts";
import { limits } from "../../../schemas/limits.ts";

const end_ms = Date.parse("2026-11-21T12:00:00Z");

test("I10: a key ends when it was said to, also one that was good a moment ago", async () => {
  const key = systemIds();
  const credential = newApiKey("acme", key, Buffer.alloc(32, 1));
  const workspace = noWorkspace();
  const made = { createdAt: "2026-11-20T12:00:00Z", expires: new Date(end_ms).toISOString() };
  const secret = hashOfSecret(credential);
  workspace.members.set("ann", { role: "member", since: made.createdAt });
  workspace.keys.set(key, { ...made, key, secret, user: "ann", name: "x", scopes: ["read"] });
  let asked = 0;
  const people = {
    async workspace() {
      asked++;
      return workspace;
    },
    account: () => Promise.reject(new Error("no account is asked for")),
  };
  const judge = judgeApiKeys(people, new Revocations(systemClock));
  const codeAt = async (now_ms: number): Promise<unknown> => {
    const found = judge(credential, now_ms);
    if (found === null || !("judge" in found)) return found?.key;
    return found.judge().then(
      (who) => who.key,
      (error: unknown) => (error instanceof AppError ? error.code : error),
    );
  };
  const near_ms = end_ms - limits.api_key_known_ms / 2;
  expect([await codeAt(near_ms), asked]).toEqual([key, 1]);
  expect([await codeAt(end_ms - 1), asked]).toEqual([key, 1]);
  expect([await codeAt(end_ms), asked]).toEqual(["unauthenticated", 2]);
  const long_ago = end_ms - 10 * limits.api_key_known_ms;
  expect([await codeAt(long_ago), asked]).toEqual([key, 3]);
  expect([await codeAt(long_ago + limits.api_key_known_ms), asked]).toEqual([key, 4]);
});
