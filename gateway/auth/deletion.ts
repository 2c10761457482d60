/**
 * A person's account and what is only theirs, gone for good: their conversations, their memberships with
 * sessions and API keys, then the account, whose content its actor erases. In this order each step can
 * be repeated, and only the last one makes the password worthless: whoever is cut off asks again and is
 * finished (I1). Nothing is begun while a workspace would be left to members without an owner.
 */
import { AppError } from "../../schemas/errors.ts";
import { accountRef, type ActorRef, workspaceRef } from "../../schemas/ids.ts";
import { limits } from "../../schemas/limits.ts";
import type { Service } from "../service.ts";
import { ask, askAndEnd, gatewayBy, userBy } from "./ask.ts";

/** Throws `last_owner`, `stale` when the read models lag, and whatever keeps a step from being done. */
export async function deleteAccount(service: Service, id: string): Promise<void> {
  const { tenants } = await service.people.account(id);
  for (const tenant of tenants) await mayLeave(service, tenant, id);
  for (const tenant of tenants) {
    await deleteConversations(service, tenant, id);
    await leave(service, tenant, id);
    // What another device of theirs began until the membership ended.
    await deleteConversations(service, tenant, id);
    await askAndEnd(service, gatewayBy, accountRef(id), "leave-tenant", { tenant });
  }
  await askAndEnd(service, userBy(id), accountRef(id), "delete", {});
}

/** Who was cut off here, or asked twice at once, is no member any more, whom nobody listens to. */
async function leave(service: Service, tenant: string, user: string): Promise<void> {
  const isMember = async (): Promise<boolean> =>
    (await service.people.workspace(tenant)).members.has(user);
  if (!(await isMember())) return;
  try {
    await askAndEnd(service, userBy(user), workspaceRef(tenant), "remove-member", { user });
  } catch (error) {
    if (await isMember()) throw error;
  }
}

/** Throws `last_owner`; the workspace says the same to who is overtaken behind this. */
async function mayLeave({ people }: Service, tenant: string, user: string): Promise<void> {
  const { members } = await people.workspace(tenant);
  const others = [...members].filter(([member]) => member !== user);
  const left = others.some(([, { role }]) => role === "owner");
  if (members.get(user)?.role !== "owner" || others.length === 0 || left) return;
  const detail = `The workspace ${tenant} has members and no other owner; make one first.`;
  throw new AppError("last_owner", detail);
}

/** One that is archived meanwhile is met again among the archived, so those come last. */
const kinds = (["active", "archived"] as const).flatMap((status) =>
  (["chat", "api"] as const).map((origin) => ({ status, origin })),
);
/** Beside others' commands. */
const at_once = 16;

async function deleteConversations(service: Service, tenant: string, user: string): Promise<void> {
  const { queries, log } = service.ports;
  // A read model that has not come so far would hide what was begun a moment ago.
  const minSeq = await log.lastSequence();
  for (const kind of kinds) {
    let cursor: string | null = null;
    do {
      const page = { tenant, user, ...kind, shared: false, limit: limits.page_max, minSeq };
      const { items, next } = await queries.conversations(
        cursor === null ? page : { ...page, cursor },
      );
      for (let at = 0; at < items.length; at += at_once) {
        const some = items.slice(at, at + at_once);
        await Promise.all(some.map(({ id }) => deleteOne(service, { tenant, user, id })));
      }
      cursor = next;
    } while (cursor !== null);
  }
}

async function deleteOne(
  service: Service,
  { tenant, user, id }: { readonly tenant: string; readonly user: string; readonly id: string },
): Promise<void> {
  const ref: ActorRef = { tenant, kind: "conversation", id };
  const sequence = await ask(service, userBy(user), ref, "delete", {});
  service.sequences.saw(ref, sequence);
}
