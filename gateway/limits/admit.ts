/** Counts a request over HTTP before anything is done for it, as its operation says. */
import { AppError } from "../../schemas/errors.ts";
import type { Identity } from "../auth/identity.ts";
import type { Exchange } from "../http/exchange.ts";
import type { LimitKind } from "../http/operation.ts";
import { callerOf, type Service } from "../service.ts";
import { type Admission, limitedBody, rateLimitHeaders } from "./gate.ts";

/** The address that a request counts for. */
export const ipOf = (exchange: Exchange, service: Pick<Service, "addressOf">): string =>
  service.addressOf(exchange.peer, exchange.header("x-forwarded-for"));

/**
 * `who` is null for an operation that is everybody's, which counts for its address alone. Every
 * answer carries the limits. Throws `rate_limited`.
 */
export async function admit(
  exchange: Exchange,
  service: Service,
  limit: LimitKind,
  who: Identity | null,
): Promise<void> {
  if (limit === "none") return;
  const ip = ipOf(exchange, service);
  const { gate } = service;
  const admission = who === null ? gate.address(limit, ip) : gate.admit(limit, callerOf(who, ip));
  obey(exchange, admission instanceof Promise ? await admission : admission);
}

/**
 * Counts who tries to sign in, register or refresh, before a password or token is compared; his
 * address was counted already. `account` is whatever names the account, also one that is not there.
 * Throws `rate_limited`.
 */
export async function admitAccount(
  exchange: Exchange,
  service: Pick<Service, "gate" | "addressOf">,
  account: string,
): Promise<void> {
  obey(exchange, await service.gate.account(account, ipOf(exchange, service)));
}

function obey(exchange: Exchange, admission: Admission): void {
  Object.assign(exchange.common, rateLimitHeaders(admission));
  if (admission.admitted) return;
  exchange.common["Retry-After"] = String(admission.retry_s);
  throw new AppError("rate_limited", limitedBody(admission).message);
}
