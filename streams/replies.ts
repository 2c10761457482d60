/**
 * Replies to commands: `reply.<tenant>.<inbox>`, core NATS and best effort. One that is lost is
 * made good by the live lane, where the commit names its command.
 */
import { isReply, type Reply } from "../schemas/commands.ts";
import { replyInbox, replySubject } from "../schemas/subjects.ts";
import { parseJson } from "../schemas/validate.ts";
import type { Streams } from "./connection.ts";
import { follow } from "./following.ts";

export interface Replies {
  /** What a command of this tenant names as its reply subject. */
  subject(tenant: string): string;
  /** Calls back for every reply to the command; the result ends it. */
  on(command: string, call: (reply: Reply) => void): () => void;
  stop(): void;
}

/** One subscription for all replies of a gateway; `inbox` is its own name, unguessable. */
export function openReplies(streams: Streams, inbox: string): Replies {
  if (!/^[A-Za-z0-9_-]+$/.test(inbox)) throw new TypeError("an inbox is one token");
  const calls = new Map<string, Set<(reply: Reply) => void>>();
  const following = follow(streams, replyInbox(inbox), ({ data }) => {
    const value = parseJson(Buffer.from(data.buffer, data.byteOffset, data.byteLength).toString());
    if (!isReply(value)) return;
    for (const call of calls.get(value.command) ?? []) call(value);
  });
  return {
    subject: (tenant) => replySubject(tenant, inbox),
    on(command, call) {
      const waiting = calls.get(command) ?? new Set();
      calls.set(command, waiting.add(call));
      return () => {
        waiting.delete(call);
        if (waiting.size === 0 && calls.get(command) === waiting) calls.delete(command);
      };
    },
    stop: () => following.stop(),
  };
}

/** How a worker answers. `subject` was checked by the queue (`mayReplyTo`). */
export const replyPort = (streams: Streams): { answer(subject: string, reply: Reply): void } => ({
  answer(subject, reply) {
    if (!streams.nc.isClosed()) streams.nc.publish(subject, JSON.stringify(reply));
  },
});
