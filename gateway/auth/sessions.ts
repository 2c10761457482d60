/**
 * Sessions of an account: opened by a password, continued by a refresh token that is good once, ended
 * by logging out. An access token is short-lived and names its session, so that it ends with it.
 */
import { AppError } from "../../schemas/errors.ts";
import type { TokenPair } from "../../schemas/identity.ts";
import { accountRef } from "../../schemas/ids.ts";
import { limits } from "../../schemas/limits.ts";
import type { Service } from "../service.ts";
import { issueAccessToken } from "./access-token.ts";
import { ask, askAndEnd, userBy } from "./ask.ts";
import { type Membership, roleOf } from "./membership.ts";
import { hashOfSecret, newRefreshToken, nextRefreshToken, parseRefreshToken } from "./secrets.ts";

export async function openSession(
  service: Service,
  account: string,
  member: Membership,
  device: string,
): Promise<TokenPair> {
  const { ids } = service.ports;
  const session = ids();
  const refreshToken = newRefreshToken(account, session);
  await ask(service, userBy(account), accountRef(account), "open-session", {
    ...{ session, tenant: member.tenant, token: hashOfSecret(refreshToken) },
    ...{ expires: expiry(service), device: device.slice(0, limits.device_chars_max) },
  });
  return pair(service, account, session, member, refreshToken);
}

/** Throws `unauthenticated`, and `refresh_reused`, which has ended the session. */
export async function refreshSession(service: Service, refreshToken: string): Promise<TokenPair> {
  const { people, ports } = service;
  const named = parseRefreshToken(refreshToken);
  if (named === null) throw new AppError("unauthenticated");
  const { account, session } = named;
  const { active, sessions } = await people.account(account);
  const tenant = sessions.get(session)?.tenant;
  if (!active || tenant === undefined) throw new AppError("unauthenticated");
  const role = await roleOf(service, tenant, account);
  if (role === null) throw new AppError("unauthenticated");
  const next = nextRefreshToken(ports.accountsKey, account, session, refreshToken);
  await ask(service, userBy(account), accountRef(account), "refresh", {
    ...{ session, token: hashOfSecret(refreshToken), next: hashOfSecret(next) },
    expires: expiry(service),
  });
  return pair(service, account, session, { tenant, role }, next);
}

/** Ends a session with all that lives on it. */
export async function closeSession(
  service: Service,
  account: string,
  session: string,
): Promise<void> {
  const by = userBy(account);
  await askAndEnd(service, by, accountRef(account), "close-session", { session });
  // Also when it had ended already, longer ago than is remembered here.
  service.revocations.close(session);
}

const expiry = ({ ports: { clock } }: Service): string =>
  new Date(clock.now() + limits.refresh_token_ms).toISOString();

function pair(
  { ports: { ring, clock } }: Service,
  user: string,
  session: string,
  { tenant, role }: Membership,
  refreshToken: string,
): TokenPair {
  const expiresIn = Math.floor(limits.access_token_ms / 1000);
  const who = { user, session, tenant, role };
  return {
    accessToken: issueAccessToken(ring, who, expiresIn, clock.now()),
    refreshToken,
    expiresIn,
  };
}
