/**
 * Replies to commands: `reply.<tenant>.<inbox>`, core NATS and best effort. One that is lost is
 * made good by the live lane, where the commit names its command.
 */
import type { Msg } from "@nats-io/transport-node";
import { isReply, type Reply } from "../../schemas/commands.ts";
import type { ActorRef } from "../../schemas/ids.ts";
import { actorReplySubject, replyInboxes, replySubject } from "../../schemas/subjects.ts";
import { parseJson } from "../../schemas/validate.ts";
import type { Streams } from "../connection.ts";
import { follow } from "./following.ts";

export interface Replies {
  /** What a command of this tenant names as its reply subject. */
  subject(tenant: string): string;
  /** The same for a command to this actor: another's command may have the same id (I10). */
  actorSubject(ref: ActorRef): string;
  /** Calls back for every reply to the command, or those to `at` alone; the result ends it. */
  on(command: string, call: (reply: Reply) => void, at?: string): () => void;
  stop(): void;
}

interface Waiting {
  readonly call: (reply: Reply) => void;
  readonly at: string | undefined;
}

/** One place for all replies of a gateway; `inbox` is its own name, unguessable. */
export function openReplies(streams: Streams, inbox: string): Replies {
  if (!/^[A-Za-z0-9_-]+$/.test(inbox)) throw new TypeError("an inbox is one token");
  const calls = new Map<string, Set<Waiting>>();
  const heard = ({ data, subject }: Msg): void => {
    const value = parseJson(Buffer.from(data.buffer, data.byteOffset, data.byteLength).toString());
    if (!isReply(value)) return;
    for (const { call, at } of calls.get(value.command) ?? []) {
      if (at === undefined || at === subject) call(value);
    }
  };
  const followings = replyInboxes(inbox).map((subject) => follow(streams, subject, heard));
  return {
    subject: (tenant) => replySubject(tenant, inbox),
    actorSubject: (ref) => actorReplySubject(ref, inbox),
    on(command, call, at) {
      const waiting = calls.get(command) ?? new Set();
      const mine: Waiting = { call, at };
      calls.set(command, waiting.add(mine));
      return () => {
        waiting.delete(mine);
        if (waiting.size === 0 && calls.get(command) === waiting) calls.delete(command);
      };
    },
    stop() {
      for (const following of followings) following.stop();
    },
  };
}

/** How a worker answers. `subject` was checked by the queue (`mayReplyTo`). */
export const replyPort = (streams: Streams): { answer(subject: string, reply: Reply): void } => ({
  answer(subject, reply) {
    if (!streams.nc.isClosed()) streams.nc.publish(subject, JSON.stringify(reply));
  },
});
