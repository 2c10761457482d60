/**
 * One conversation as its reader may see it: from the read models, which are waited for until they show
 * what this gateway or the caller has already seen, and with what the caller may do with it.
 */
import { AppError } from "../../schemas/errors.ts";
import type { Conversation, StoredConversation } from "../../schemas/http.ts";
import type { ActorRef } from "../../schemas/ids.ts";
import type { Access } from "../../schemas/sharing.ts";
import type { Call, Shown } from "../http/call.ts";
import { revisionTag } from "../http/conditions.ts";

/** What was acked or pushed of it here, or seen by the caller. */
export const knownOf = (call: Call, ref: ActorRef): number =>
  Math.max(call.min_seq, call.service.sequences.of(ref));

/**
 * What the caller may do with it, and what `look` finds of it at a sequence. What is not there yet is
 * looked for where the log ends. Throws `not_found`, `conversation_deleted`.
 */
export async function lookAt<T extends { readonly conversation: StoredConversation | null }>(
  call: Call,
  ref: ActorRef,
  sequence: number,
  look: (access: Access, minSeq: number | undefined) => Promise<T>,
) {
  const { log } = call.service.ports;
  const access = await call.service.owners.accessOf(ref, call.who);
  if (access === null) throw new AppError("not_found");
  let seen = sequence;
  let found = await look(access, seen || undefined);
  if (found.conversation === null) {
    const last = await log.last(ref);
    if (last === null) throw new AppError("not_found");
    seen = Math.max(seen, last.sequence);
    found = await look(access, seen);
  }
  const { conversation } = found;
  if (conversation === null) throw new AppError("not_found");
  if (conversation.status === "deleted") throw new AppError("conversation_deleted");
  return { ...found, conversation, access, seen };
}

/** As it is answered, with its ETag. Throws `not_found`, `conversation_deleted`, `stale`. */
export async function readAt(
  call: Call,
  ref: ActorRef,
  sequence: number,
): Promise<Shown<Conversation>> {
  const { queries } = call.service.ports;
  const { tenant, id } = ref;
  const found = await lookAt(call, ref, sequence, async (may, minSeq) =>
    may === "owner"
      ? queries.conversationAndShares(tenant, id, minSeq)
      : { conversation: await queries.conversation(tenant, id, minSeq), shares: null },
  );
  const { conversation: row, access, shares } = found;
  const headers = { ETag: revisionTag(row.revision) };
  const value = { ...row, access, shares: shares && [...shares] };
  return { value, sequence: found.seen, headers };
}
