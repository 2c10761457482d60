/** Who waits at the door while a credential is looked up, and what a refusal costs. */
import { expect, test } from "vitest";
import { MemoryLimiter } from "../../../cache/memory-limiter.ts";
import { type Judge, openAuthenticate } from "../../../gateway/auth/authenticate.ts";
import type { Identity } from "../../../gateway/auth/identity.ts";
import { Gate } from "../../../gateway/limits/gate.ts";
import { AppError } from "../../../schemas/errors.ts";
import { systemClock } from "../../../schemas/ids.ts";
import { limits } from "../../../schemas/limits.ts";
import { default_rates } from "../../../schemas/rates.ts";
import { ring } from "../running.ts";

const ann: Identity = {
  ...{ tenant: "acme", user: "ann", role: "member", expires_ms: Number.MAX_SAFE_INTEGER },
  ...{ session: null, key: null, scopes: null },
};

/** A door whose judge answers when the test says so. */
function openDoor(refused = default_rates.refused) {
  const answers: ((who: Identity | AppError) => void)[] = [];
  const judge: Judge = (credential) => ({
    familiar: credential === "familiar",
    judge: () =>
      new Promise((resolve, reject) => {
        answers.push((who) => (who instanceof AppError ? reject(who) : resolve(who)));
      }),
  });
  const limiter = new MemoryLimiter(() => 0);
  const gate = new Gate(limiter, { ...default_rates, refused }, { now: () => 0 });
  const parts = { ring, clock: systemClock, judges: [judge], refuse: () => undefined, gate };
  return { answers, authenticate: openAuthenticate(parts) };
}
const codeOf = (call: () => unknown): unknown => {
  try {
    call();
    return "waits";
  } catch (error) {
    return error instanceof AppError ? error.code : error;
  }
};

test("I10: I11: of one address so many wait; others, and who was good before, are looked at", async () => {
  const { answers, authenticate } = openDoor();
  const waiting = Array.from({ length: limits.credentials_judged_per_ip_max }, () =>
    authenticate("strange", "1.2.3.4"),
  );
  expect(codeOf(() => authenticate("strange", "1.2.3.4"))).toBe("overloaded");
  // Whoever is refused a place asks nobody.
  expect(answers).toHaveLength(waiting.length);
  for (const [credential, ip] of [
    ["strange", "4.3.2.1"],
    ["familiar", "1.2.3.4"],
  ] as const) {
    expect(codeOf(() => waiting.push(Promise.resolve(authenticate(credential, ip))))).toBe("waits");
  }
  for (const answer of answers.splice(0)) answer(ann);
  expect(new Set(await Promise.all(waiting.map(async (one) => one)))).toEqual(new Set([ann]));
  expect(codeOf(() => authenticate("strange", "1.2.3.4"))).toBe("waits");
});

test("I10: an address whose credentials are refused has nobody asked for it any more", async () => {
  const { answers, authenticate } = openDoor(2);
  for (let n = 0; n < 2; n++) {
    const judged = authenticate("strange", "1.2.3.4");
    answers.pop()?.(new AppError("unauthenticated"));
    await expect(judged).rejects.toMatchObject({ code: "unauthenticated" });
  }
  expect(codeOf(() => authenticate("strange", "1.2.3.4"))).toBe("rate_limited");
  expect(codeOf(() => authenticate(null, "1.2.3.4"))).toBe("rate_limited");
  expect(answers).toHaveLength(0);
  const good = authenticate("familiar", "1.2.3.4");
  answers.pop()?.(ann);
  expect(await good).toBe(ann);
  // What is nobody's fault, and what was good, costs nothing.
  for (const code of ["unavailable", "token_expired"] as const) {
    for (let n = 0; n < 3; n++) {
      const judged = authenticate("strange", "4.3.2.1");
      answers.pop()?.(new AppError(code));
      await expect(judged).rejects.toMatchObject({ code });
    }
  }
});
