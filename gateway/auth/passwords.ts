/**
 * Passwords: argon2id with the parameters that OWASP names (19 MiB, 2 passes, 1 lane), a few at once
 * and a few waiting, the rest refused: one hash holds a thread of the pool for some 20 ms and 19 MiB
 * (I11). Whether an account exists cannot be told from how long the answer takes: an unknown address
 * is compared with a hash that nobody's password has.
 */
import { hash, verify } from "@node-rs/argon2";
import { AppError } from "../../schemas/errors.ts";
import { limits } from "../../schemas/limits.ts";

/** https://cheatsheetseries.owasp.org/cheatsheets/Password_Storage_Cheat_Sheet.html#argon2id */
const options = { memoryCost: 19_456, timeCost: 2, parallelism: 1 } as const;

export interface Passwords {
  /** The PHC string. Throws `overloaded`. */
  hash(password: string): Promise<string>;
  /** Whether it is this hash's; false, in the same time, for null. Throws `overloaded`. */
  verify(password: string, phc: string | null): Promise<boolean>;
}

export function openPasswords(): Passwords {
  let running = 0;
  const waiting: (() => void)[] = [];
  const enter = async (): Promise<void> => {
    if (running < limits.password_hashes_at_once) {
      running += 1;
      return;
    }
    if (waiting.length >= limits.password_hashes_waiting_max) {
      throw new AppError("overloaded", "Too many passwords are being checked; try again.");
    }
    await new Promise<void>((resolve) => waiting.push(resolve));
  };
  // Whoever leaves hands its place on.
  const leave = (): void => {
    const next = waiting.shift();
    if (next === undefined) running -= 1;
    else next();
  };
  const inTurn = async <T>(work: () => Promise<T>): Promise<T> => {
    await enter();
    try {
      return await work();
    } finally {
      leave();
    }
  };
  /** Of random bytes that nobody has seen; made with the first address that is unknown. */
  let nobody: Promise<string> | null = null;
  return {
    hash: (password) => inTurn(() => hash(password, options)),
    verify: (password, phc) =>
      inTurn(async () => {
        nobody ??= hash(crypto.getRandomValues(new Uint8Array(32)), options);
        const genuine = await verify(phc ?? (await nobody), password);
        return genuine && phc !== null;
      }),
  };
}
