/**
 * How an account comes to belong to a workspace: the workspace takes it in, then the account knows.
 * Each step says "already so" when it was done, so whoever is left half-way by a crash is brought on
 * by the next sign-in. The first account of an installation owns its tenant, which the workspace
 * itself decides; later ones are invited, or open a workspace of their own.
 */
import { AppError } from "../../schemas/errors.ts";
import { accountRef, workspaceRef } from "../../schemas/ids.ts";
import type { Role } from "../../schemas/permissions.ts";
import type { Service } from "../service.ts";
import type { AccountView } from "./account-view.ts";
import { ask, gatewayBy, userBy } from "./ask.ts";
import { hashOfSecret, parseInvitation } from "./secrets.ts";

export type Registration = "open" | "invited" | "closed";

export interface Membership {
  readonly tenant: string;
  readonly role: Role;
}

/** The tenant of one's own that an account may open. */
export const ownTenant = (account: string): string =>
  `u-${account.replaceAll("-", "").slice(0, 16)}`;

/**
 * Where a new account shall belong; an invitation says it also for the first one, with its role.
 * Throws `registration_closed`, `invitation_invalid`.
 */
export async function homeFor(
  { people, ports: { registration, firstTenant } }: Service,
  account: string,
  invitation: string | null,
): Promise<string> {
  // Also to the first: where people sign in elsewhere, a stranger must not come to own the tenant.
  if (registration === "closed") throw new AppError("registration_closed");
  if (invitation !== null) {
    const named = parseInvitation(invitation);
    if (named === null) throw new AppError("invitation_invalid");
    const found = (await people.workspace(named.tenant)).invitations.get(named.id);
    if (found?.token !== hashOfSecret(invitation)) throw new AppError("invitation_invalid");
    return named.tenant;
  }
  const first = await people.workspace(firstTenant);
  if (!first.opened && first.members.size === 0) return firstTenant;
  if (registration === "invited") throw new AppError("registration_closed");
  return ownTenant(account);
}

/** Joins by invitation; done already is done. Throws `invitation_invalid`, `workspace_full`. */
export async function joinBy(service: Service, account: string, invitation: string): Promise<void> {
  const named = parseInvitation(invitation);
  if (named === null) throw new AppError("invitation_invalid");
  const { tenant, id } = named;
  const by = userBy(account);
  const token = hashOfSecret(invitation);
  const joining = ask(service, by, workspaceRef(tenant), "join", { invitation: id, token });
  await joining.catch(unless("already_member"));
  await ask(service, by, accountRef(account), "join-tenant", { tenant });
}

/** Opens the account's home; another place when somebody else was first there. */
export async function openHome(service: Service, id: string, view: AccountView): Promise<void> {
  const { registration, firstTenant } = service.ports;
  const own = ownTenant(id);
  const by = userBy(id);
  const wished = [view.home, own].filter((one) => one === firstTenant || one === own);
  for (const tenant of new Set(wished)) {
    if (tenant === own && registration !== "open" && view.home !== own) continue;
    const name = tenant === own && view.name !== "" ? view.name : tenant;
    const taken = await ask(service, by, workspaceRef(tenant), "open", { name })
      .then(() => false)
      .catch(unless("workspace_taken"));
    if (taken) continue;
    await ask(service, by, accountRef(id), "join-tenant", { tenant });
    return;
  }
}

/** True for a refusal with this code; throws every other. */
const unless =
  (code: "already_member" | "workspace_taken") =>
  (error: unknown): true => {
    if (error instanceof AppError && error.code === code) return true;
    throw error;
  };

/**
 * Where an account is signed in: `wished`, else its home, else where it joined first. Brings on what
 * a crash left half done. Throws `forbidden` when it belongs nowhere, or not to the wished tenant.
 */
export async function membershipOf(
  service: Service,
  id: string,
  view: AccountView,
  wished: string | null,
): Promise<Membership> {
  const { people } = service;
  let known = view;
  if (known.tenants.length === 0) {
    const home = await people.workspace(known.home);
    if (home.members.has(id)) {
      const tenant = known.home;
      await ask(service, userBy(id), accountRef(id), "join-tenant", { tenant });
    } else {
      await openHome(service, id, known);
    }
    known = await people.account(id);
  }
  const { home, tenants } = known;
  const order = wished === null ? [home, ...tenants] : [wished];
  for (const tenant of new Set(order)) {
    if (!tenants.includes(tenant)) continue;
    const role = await roleOf(service, tenant, id);
    if (role !== null) return { tenant, role };
    await ask(service, gatewayBy, accountRef(id), "leave-tenant", { tenant });
  }
  throw new AppError("forbidden", "The account belongs to no such workspace.");
}

/** What a member is now; null for nobody. Throws `unavailable`. */
export const roleOf = async (
  { people }: Service,
  tenant: string,
  user: string,
): Promise<Role | null> => (await people.workspace(tenant)).members.get(user)?.role ?? null;
