/** Signing in and out: `/api/v1/auth/…`, and the public keys that our tokens are checked with. */
import { createHmac } from "node:crypto";
import { AppError } from "../../schemas/errors.ts";
import {
  DeleteAccount,
  Join,
  Jwks,
  Login,
  Refresh,
  Register,
  Registered,
  TokenPair,
} from "../../schemas/identity.ts";
import { accountRef } from "../../schemas/ids.ts";
import { type Operation, operation, publicOperation } from "../http/operation.ts";
import type { Exchange } from "../http/exchange.ts";
import type { Service } from "../service.ts";
import { admitAccount } from "../limits/admit.ts";
import { accountIdOf, normalEmail } from "./account-id.ts";
import type { AccountView } from "./account-view.ts";
import { ask, userBy } from "./ask.ts";
import { deleteAccount } from "./deletion.ts";
import { homeFor, joinBy, membershipOf, openHome } from "./membership.ts";
import { parseInvitation } from "./secrets.ts";
import { closeSession, openSession, refreshSession } from "./sessions.ts";

const base = "/api/v1/auth";

/** Throws `bad_request`. */
function addressed(
  service: Service,
  text: string,
): { readonly email: string; readonly id: string } {
  const email = normalEmail(text);
  if (email === null) throw new AppError("bad_request", "email is no e-mail address");
  return { email, id: accountIdOf(service.ports.accountsKey, email) };
}

/**
 * The command that an `Idempotency-Key` stands for: the same for the same account and password. Whoever
 * only guesses a key must not act for the account, and its id in the log must not tell the password.
 */
function onceOf(secret: Uint8Array, account: string, key: string, password: string): string {
  const said = JSON.stringify(["register", account, key, password]);
  const hex = createHmac("sha256", secret).update(said).digest("hex").slice(0, 32);
  return hex.replace(/^(.{8})(.{4})(.{4})(.{4})/, "$1-$2-$3-$4-");
}

/**
 * The account of an address and its password. Whatever is wrong is told the same, after the same time:
 * whoever guesses must not learn from it which addresses are there. Throws `bad_credentials`,
 * `rate_limited`.
 */
async function genuine(
  service: Service,
  { email: text, password }: { readonly email: string; readonly password: string },
  exchange: Exchange,
): Promise<{ readonly id: string; readonly view: AccountView }> {
  const email = normalEmail(text);
  const id = email === null ? null : accountIdOf(service.ports.accountsKey, email);
  if (id !== null) await admitAccount(exchange, service, id);
  const view = id === null ? null : await service.people.account(id);
  const phc = view?.active === true && view.password !== "" ? view.password : null;
  const fits = await service.passwords.verify(password, phc);
  if (!fits || id === null || view === null) throw new AppError("bad_credentials");
  return { id, view };
}

export const operations: readonly Operation[] = [
  publicOperation({
    id: "register",
    method: "POST",
    path: `${base}/register`,
    tag: "auth",
    access: "public",
    limit: "sign-in",
    summary: "Makes an account, and a workspace of its own or a membership by invitation.",
    body: Register,
    answers: { 201: Registered },
    refuses: ["email_taken", "registration_closed", "invitation_invalid", "overloaded"],
    async run({ service, body, idempotencyKey }) {
      const { email, id } = addressed(service, body.email);
      const { people, passwords, ports } = service;
      const invitation = body.invitation ?? null;
      const home = await homeFor(service, id, invitation);
      const { accountsKey } = ports;
      const command =
        idempotencyKey === null
          ? ports.ids()
          : onceOf(accountsKey, id, idempotencyKey, body.password);
      // Whoever was here before is told so before a thread is taken for his password.
      const before = await people.account(id);
      if (before.active && idempotencyKey === null) throw new AppError("email_taken");
      const password = await passwords.hash(body.password);
      const by = userBy(id);
      const data = { home, email, name: body.name, password };
      await ask(service, by, accountRef(id), "register", data, command);
      if (invitation === null) {
        await openHome(service, id, await people.account(id));
      } else {
        await joinBy(service, id, invitation);
      }
      const view = await people.account(id);
      const { tenant, role } = await membershipOf(service, id, view, null);
      return { value: { user: id, tenant, role }, sequence: 0 };
    },
  }),
  publicOperation({
    id: "login",
    method: "POST",
    path: `${base}/login`,
    tag: "auth",
    access: "public",
    limit: "sign-in",
    summary: "Opens a session: a short access token and a refresh token that is good once.",
    body: Login,
    answers: { 200: TokenPair },
    refuses: ["bad_credentials", "forbidden", "invitation_invalid", "overloaded"],
    async run({ service, body }, exchange) {
      const { people } = service;
      const { id, view } = await genuine(service, body, exchange);
      if (body.invitation !== undefined) await joinBy(service, id, body.invitation);
      const known = body.invitation === undefined ? view : await people.account(id);
      const member = await membershipOf(service, id, known, body.tenant ?? null);
      const value = await openSession(service, id, member, exchange.header("user-agent"));
      return { value, sequence: 0 };
    },
  }),
  publicOperation({
    id: "refresh",
    method: "POST",
    path: `${base}/refresh`,
    tag: "auth",
    access: "public",
    limit: "sign-in",
    summary: "Goes on with a session; a refresh token that comes twice ends it.",
    body: Refresh,
    answers: { 200: TokenPair },
    refuses: ["unauthenticated", "refresh_reused"],
    run: async ({ service, body }) => ({
      value: await refreshSession(service, body.refreshToken),
      sequence: 0,
    }),
  }),
  operation({
    id: "joinWorkspace",
    method: "POST",
    path: `${base}/join`,
    tag: "auth",
    access: "account.write",
    limit: "sign-in",
    summary: "Joins the workspace of an invitation, and opens a session there.",
    body: Join,
    answers: { 200: TokenPair },
    refuses: ["forbidden", "invitation_invalid", "workspace_full", "too_many_tenants"],
    async run({ service, who, body }, exchange) {
      // Neither a key nor a token without a session may lead an account elsewhere.
      if (who.session === null) throw new AppError("forbidden", "Sign in to do this.");
      const tenant = parseInvitation(body.invitation)?.tenant;
      if (tenant === undefined) throw new AppError("invitation_invalid");
      await joinBy(service, who.user, body.invitation);
      const view = await service.people.account(who.user);
      const member = await membershipOf(service, who.user, view, tenant);
      const value = await openSession(service, who.user, member, exchange.header("user-agent"));
      return { value, sequence: 0 };
    },
  }),
  operation({
    id: "logout",
    method: "POST",
    path: `${base}/logout`,
    tag: "auth",
    access: "account.read",
    limit: "command",
    summary: "Ends the session of the access token at once, with its sockets, on every gateway.",
    answers: { 204: null },
    async run({ service, who }) {
      // A token of the operator or of another issuer has no session that could end.
      if (who.session !== null) await closeSession(service, who.user, who.session);
      return { value: null, sequence: 0 };
    },
  }),
  publicOperation({
    id: "deleteAccount",
    method: "POST",
    path: `${base}/delete`,
    tag: "auth",
    // Also for who belongs to no workspace any more and so cannot sign in.
    access: "public",
    limit: "sign-in",
    summary: "Deletes an account for good, with its conversations, memberships and API keys.",
    body: DeleteAccount,
    answers: { 204: null },
    refuses: [
      "bad_credentials",
      "not_found",
      "last_owner",
      "account_in_use",
      "overloaded",
      "stale",
    ],
    async run({ service, body }, exchange) {
      const { id } = await genuine(service, body, exchange);
      await deleteAccount(service, id);
      return { value: null, sequence: 0 };
    },
  }),
  publicOperation({
    id: "jwks",
    method: "GET",
    path: "/.well-known/jwks.json",
    tag: "auth",
    access: "public",
    limit: "none",
    summary: "The public keys of our access tokens (RFC 7517); none while a secret signs them.",
    answers: { 200: Jwks },
    run: async ({ service }) => ({
      value: { keys: service.ports.ring.public },
      sequence: 0,
      headers: { "Cache-Control": "public, max-age=300" },
    }),
  }),
];
