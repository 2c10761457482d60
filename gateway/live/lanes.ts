/**
 * The lanes that the gateway reads besides the log: live commits, live tokens, replies; all on one
 * connection, so that what a worker published in order arrives in order. The only file here that
 * knows how `streams/` names them.
 */
import type { Commit } from "../../schemas/commit.ts";
import type { Reply } from "../../schemas/commands.ts";
import type { ActorRef } from "../../schemas/ids.ts";
import type { TokenFrame } from "../../schemas/tokens.ts";
import type { Streams } from "../../streams/connection.ts";
import { DamagedCommit } from "../../streams/faults.ts";
import { followCommits, followTenant } from "../../streams/live/live.ts";
import { openReplies } from "../../streams/live/replies.ts";
import { followTokens, replayTokens } from "../../streams/live/tokens.ts";
import type { Vault } from "../../streams/content/vault.ts";

export interface Following {
  /** Flushed: nothing stored after this is missed. */
  readonly ready: Promise<void>;
  stop(): void;
}

export interface Lanes {
  /** `missed`: a commit came and could not be handed on, but the log has it to read. */
  commits(ref: ActorRef, call: (commit: Commit) => void, missed: () => void): Following;
  tenant(tenant: string, call: (commit: Commit) => void): Following;
  tokens(ref: ActorRef, call: (frame: TokenFrame) => void): Following;
  /** What memory still holds of an attempt behind `after`, sorted, maybe with gaps. */
  replay(ref: ActorRef, turn: string, attempt: number, after: number): Promise<TokenFrame[]>;
  replySubject(ref: ActorRef): string;
  onReply(ref: ActorRef, command: string, call: (reply: Reply) => void): () => void;
  /** Calls when the connection is back and the lanes may have lost something. */
  reconnected(call: () => void): () => void;
  stop(): void;
}

export function openLanes(streams: Streams, vault: Vault, inbox: string): Lanes {
  const replies = openReplies(streams, inbox);
  const calls = new Set<() => void>();
  const listen = async (): Promise<void> => {
    for await (const status of streams.nc.status()) {
      if (status.type === "reconnect") for (const call of calls) call();
    }
  };
  void listen();
  return {
    commits: (ref, call, missed) =>
      followCommits(streams, vault, ref, call, (problem) => {
        // A damaged one is no better in the log.
        if (!(problem instanceof DamagedCommit)) missed();
      }),
    tenant: (tenant, call) => followTenant(streams, vault, tenant, call),
    tokens: (ref, call) => followTokens(streams, ref, call),
    replay: (ref, turn, attempt, after) => replayTokens(streams, ref, turn, attempt, after),
    replySubject: (ref) => replies.actorSubject(ref),
    onReply: (ref, command, call) => replies.on(command, call, replies.actorSubject(ref)),
    reconnected(call) {
      calls.add(call);
      return () => calls.delete(call);
    },
    stop: () => replies.stop(),
  };
}
