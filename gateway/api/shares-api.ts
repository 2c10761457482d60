/**
 * Sharing over HTTP, and what readers think of answers. What each may do is decided by the conversation
 * itself; here it is only asked.
 */
import { AppError } from "../../schemas/errors.ts";
import { PostRating, PutShare, Rated, Share, SharesList } from "../../schemas/http.ts";
import { UserId } from "../../schemas/ids.ts";
import type { Of } from "../../schemas/validate.ts";
import type { Call, Shown } from "../http/call.ts";
import { commandId, run } from "../http/asking.ts";
import { type Operation, operation } from "../http/operation.ts";
import { conversationRef } from "../service.ts";

const base = "/api/v1/conversations/{id}";

async function putShare(call: Call<Of<typeof PutShare>>): Promise<Shown<Share>> {
  const [id, user, { role }] = [call.param("id"), call.param("user"), call.body];
  const command = commandId(call, `share ${id} ${user} ${role}`);
  const done = await run(call, conversationRef(call.who, id), "share", command, { user, role });
  return { value: { user, role }, sequence: done.sequence };
}

async function deleteShare(call: Call): Promise<Shown<null>> {
  const [id, user] = [call.param("id"), call.param("user")];
  const command = commandId(call, `unshare ${id} ${user}`);
  const done = await run(call, conversationRef(call.who, id), "unshare", command, { user });
  return { value: null, sequence: done.sequence };
}

/** Throws `not_found` for who may not read it, `forbidden` for who only reads it. */
async function listShares(call: Call): Promise<Shown<SharesList>> {
  const { service, who } = call;
  const ref = conversationRef(who, call.param("id"));
  const access = await service.owners.accessOf(ref, who);
  if (access === null) throw new AppError("not_found");
  if (access !== "owner") throw new AppError("forbidden", "Only its owner sees its shares.");
  const sequence = Math.max(call.min_seq, service.sequences.of(ref));
  const items = await service.ports.queries.shares(ref.tenant, ref.id, sequence || undefined);
  return { value: { items: [...items], next: null }, sequence };
}

async function rate(call: Call<Of<typeof PostRating>>): Promise<Shown<Rated>> {
  const [id, message] = [call.param("id"), call.param("message")];
  const { id: wished, ...rating } = call.body;
  const command = commandId(call, `rate ${id} ${message}`, wished);
  const data = { message, ...rating };
  const done = await run(call, conversationRef(call.who, id), "rate", command, data);
  return { value: { message, rating: rating.rating }, sequence: done.sequence };
}

export const operations: readonly Operation[] = [
  operation({
    id: "listShares",
    method: "GET",
    path: `${base}/shares`,
    summary: "Whom the conversation is shared with, by user; for its owner.",
    tag: "conversations",
    access: "conversations.read",
    limit: "read",
    answers: { 200: SharesList },
    refuses: ["forbidden", "stale"],
    run: listShares,
  }),
  operation({
    id: "shareConversation",
    method: "PUT",
    path: `${base}/shares/{user}`,
    summary: "Lets a user of the tenant read it, or write in it, too.",
    tag: "conversations",
    access: "conversations.write",
    limit: "command",
    params: { user: UserId },
    body: PutShare,
    answers: { 200: Share },
    refuses: ["forbidden", "too_many_shares", "conversation_deleted"],
    run: putShare,
  }),
  operation({
    id: "unshareConversation",
    method: "DELETE",
    path: `${base}/shares/{user}`,
    summary: "Ends that at once, also what the user is reading now.",
    tag: "conversations",
    access: "conversations.write",
    limit: "command",
    params: { user: UserId },
    answers: { 204: null },
    refuses: ["forbidden", "conversation_deleted"],
    run: deleteShare,
  }),
  operation({
    id: "rateAnswer",
    method: "POST",
    path: `${base}/messages/{message}/rating`,
    summary: "What the caller thinks of an answer; null takes it back.",
    tag: "messages",
    access: "conversations.rate",
    limit: "command",
    body: PostRating,
    answers: { 200: Rated },
    refuses: ["message_not_found", "conversation_full", "conversation_deleted"],
    run: rate,
  }),
];
