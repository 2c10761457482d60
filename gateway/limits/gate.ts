/**
 * Lets a request in, or says when to come again. One take asks every limit that holds for it: its
 * user's (or API key's), its tenant's and its IP address's; who is refused by one has taken of none.
 * Keys begin with the tenant (I10); `-`, which no tenant is called, stands for none.
 */
import type { Ask, Limiter, Verdict, Verdicts } from "../../cache/limiter.ts";
import { MemoryLimiter } from "../../cache/memory-limiter.ts";
import { type ErrorBody, errorBody } from "../../schemas/errors.ts";
import type { Clock } from "../../schemas/ids.ts";
import {
  type LimitClass,
  type LimitScope,
  type Rate,
  type Rates,
  type RateTable,
  rateTable,
} from "../../schemas/rates.ts";

/** Who asks. `ip` as clientAddresses gives it. */
export interface Caller {
  readonly tenant: string;
  readonly user: string;
  /** The API key's id; null for a person's token. */
  readonly key: string | null;
  readonly ip: string;
}

interface Judged {
  readonly scope: LimitScope;
  readonly rate: Rate;
  readonly verdict: Verdict;
}

export interface Admission {
  readonly admitted: boolean;
  /** Whole seconds until the same request may be let in; 0 when it was. */
  readonly retry_s: number;
  readonly judged: readonly Judged[];
}

interface Wanted {
  readonly scope: LimitScope;
  readonly rate: Rate;
  readonly ask: Ask;
}

const free: Admission = { admitted: true, retry_s: 0, judged: [] };

/** What tenants count together, whichever way it comes. */
const subjectOf = (cls: LimitClass, scope: LimitScope): string =>
  scope === "tenant" ? "commands" : cls;

export class Gate {
  readonly table: RateTable;
  readonly #limiter: Limiter;
  readonly #local: MemoryLimiter;
  /** Refusals so far, by `<class> <scope>`. */
  readonly refused = new Map<string, number>();

  constructor(limiter: Limiter, rates: Rates, clock: Pick<Clock, "now">) {
    this.#limiter = limiter;
    this.#local = new MemoryLimiter(() => clock.now());
    this.table = rateTable(rates);
  }

  /** At once when the limiter counts in this process. */
  admit(cls: LimitClass, caller: Caller): Admission | Promise<Admission> {
    const { tenant, user, key, ip } = caller;
    return this.#take(cls, [
      key === null
        ? this.#wanted(cls, "user", tenant, user)
        : this.#wanted(cls, "key", tenant, key),
      this.#wanted(cls, "tenant", tenant, ""),
      this.#wanted(cls, "ip", "-", ip),
    ]);
  }

  /** A handshake before its token is looked at. Counted here alone: it cannot be kept waiting. */
  arrive(ip: string): Admission {
    return this.#here("connect", this.#wanted("connect", "ip", "-", ip));
  }

  /** The handshake of this user; counted here alone. */
  enter({ tenant, user }: Caller): Admission {
    return this.#here("connect", this.#wanted("connect", "user", tenant, user));
  }

  /** A request of nobody in particular. */
  address(cls: LimitClass, ip: string): Admission | Promise<Admission> {
    return this.#take(cls, [this.#wanted(cls, "ip", "-", ip)]);
  }

  /** A try of this address to sign in to an account, whether it is there or not. */
  account(account: string, ip: string): Admission | Promise<Admission> {
    return this.#take("sign-in", [
      this.#wanted("sign-in", "account-ip", "-", `${account} ${ip}`),
      this.#wanted("sign-in", "account", "-", account),
    ]);
  }

  /**
   * Whether a credential of this address may be looked up by asking somebody: not when too many have
   * been refused. Takes nothing; counted here alone, as handshakes are.
   */
  stranger(ip: string): Admission {
    const wanted = this.#wanted("refused", "ip", "-", ip);
    return wanted === null
      ? free
      : this.#judge("refused", [wanted], [this.#local.look(wanted.ask)]);
  }

  /** Counts a credential of this address that is refused. */
  refusing(ip: string): Admission {
    return this.#here("refused", this.#wanted("refused", "ip", "-", ip));
  }

  #wanted(cls: LimitClass, scope: LimitScope, tenant: string, who: string): Wanted | null {
    const rate = this.table[cls][scope];
    if (rate === null) return null;
    const key = `${tenant}:limit:${subjectOf(cls, scope)}:${rate.kind}:${scope}:${who}`;
    return { scope, rate, ask: { key, rule: rate } };
  }

  #here(cls: LimitClass, wanted: Wanted | null): Admission {
    return wanted === null ? free : this.#judge(cls, [wanted], this.#local.take([wanted.ask]));
  }

  #take(cls: LimitClass, all: readonly (Wanted | null)[]): Admission | Promise<Admission> {
    const wanted = all.filter((one) => one !== null);
    if (wanted.length === 0) return free;
    const verdicts = this.#limiter.take(wanted.map(({ ask }) => ask));
    return verdicts instanceof Promise
      ? verdicts.then((given) => this.#judge(cls, wanted, given))
      : this.#judge(cls, wanted, verdicts);
  }

  #judge(cls: LimitClass, wanted: readonly Wanted[], verdicts: Verdicts): Admission {
    let retry_ms = 0;
    const judged = wanted.flatMap(({ scope, rate }, index) => {
      const verdict = verdicts[index];
      if (verdict === undefined) return [];
      if (!verdict.allowed) {
        const name = `${cls} ${scope}`;
        this.refused.set(name, (this.refused.get(name) ?? 0) + 1);
        retry_ms = Math.max(retry_ms, verdict.retry_ms, 1);
      }
      return [{ scope, rate, verdict }];
    });
    return { admitted: retry_ms === 0, retry_s: Math.ceil(retry_ms / 1000), judged };
  }
}

/** The refusal as a frame carries it. */
export const limitedBody = ({ retry_s }: Admission): ErrorBody => ({
  ...errorBody("rate_limited", `Too many requests; try again in ${retry_s} s.`),
  retryAfter: retry_s,
});

/**
 * `RateLimit-Policy` and `RateLimit` (draft-ietf-httpapi-ratelimit-headers-10): the caller's own
 * limit, and whichever refused. What others leave of a shared limit is nobody's to plan with.
 */
export function rateLimitHeaders({ judged }: Admission): Record<string, string> {
  const shown = judged.filter(
    ({ scope, verdict }) => scope === "user" || scope === "key" || !verdict.allowed,
  );
  if (shown.length === 0) return {};
  const policies = shown.map(
    ({ scope, rate }) => `"${scope}";q=${rate.limit};w=${rate.period_ms / 1000}`,
  );
  const left = shown.map(({ scope, verdict }) => {
    const wait_ms = verdict.allowed ? verdict.more_ms : verdict.retry_ms;
    return `"${scope}";r=${verdict.allowed ? verdict.remaining : 0};t=${Math.ceil(wait_ms / 1000)}`;
  });
  return { "RateLimit-Policy": policies.join(", "), RateLimit: left.join(", ") };
}
