/**
 * Follows commits as they are stored: the stream's republish to `live.…`, where a refused append
 * never shows (on `evt.…` it would). Decoded in the order of arrival per subscription, also when a
 * key must be fetched first; with the key at hand it happens in the same tick. Core NATS may lose
 * messages with the connection: whoever follows closes the gap from the log.
 */
import { RepublishHeaders } from "@nats-io/jetstream";
import type { Msg } from "@nats-io/transport-node";
import type { Commit } from "../../schemas/commit.ts";
import type { ActorRef } from "../../schemas/ids.ts";
import { limits } from "../../schemas/limits.ts";
import { liveSubject, liveTenantSubject } from "../../schemas/subjects.ts";
import { decodeCommit, needsKey, openCommit, type Opened } from "../log/codec.ts";
import type { Streams } from "../connection.ts";
import { follow, type Following, type OnProblem } from "./following.ts";
import type { ContentKey, Vault } from "../content/vault.ts";

/** Follows one actor's commits. A commit that cannot be decoded goes to `onProblem` instead. */
export const followCommits = (
  streams: Streams,
  vault: Vault,
  ref: ActorRef,
  onCommit: (commit: Commit) => void,
  onProblem?: OnProblem,
): Following => followSubject(streams, vault, liveSubject(ref), onCommit, onProblem);

/** Follows the commits of all actors of a tenant, actor by actor in order. */
export const followTenant = (
  streams: Streams,
  vault: Vault,
  tenant: string,
  onCommit: (commit: Commit) => void,
  onProblem?: OnProblem,
): Following => followSubject(streams, vault, liveTenantSubject(tenant), onCommit, onProblem);

function followSubject(
  streams: Streams,
  vault: Vault,
  subject: string,
  onCommit: (commit: Commit) => void,
  onProblem: OnProblem = () => undefined,
): Following {
  const waiting: Opened[] = [];
  let stopped = false;

  const deliver = (opened: Opened, key: ContentKey | null): void => {
    try {
      onCommit(decodeCommit(opened, key));
    } catch (problem) {
      onProblem(problem);
    }
  };
  /** The key when it is known now; undefined when it must be fetched. */
  const keyOf = (opened: Opened): ContentKey | null | undefined =>
    needsKey(opened) ? vault.cached(opened.ref) : null;

  const fetching = async (): Promise<void> => {
    for (let opened = waiting[0]; opened !== undefined && !stopped; opened = waiting[0]) {
      try {
        const known = keyOf(opened);
        const key = known === undefined ? await vault.key(opened.ref, false) : known;
        if (!stopped) deliver(opened, key);
      } catch (problem) {
        onProblem(problem);
      }
      waiting.shift();
    }
  };

  const following = follow(
    streams,
    subject,
    (message) => {
      const opened = openLive(message);
      const known = keyOf(opened);
      if (waiting.length === 0 && known !== undefined) {
        deliver(opened, known);
      } else if (waiting.length < limits.cursor_pending_max) {
        waiting.push(opened);
        if (waiting.length === 1) void fetching();
      } else {
        // Keys come too slowly: the gap is closed from the log, like every other loss here.
        onProblem(new Error(`${subject}: a commit was dropped, ${waiting.length} wait for keys`));
      }
    },
    onProblem,
  );
  return {
    get ready() {
      return following.ready;
    },
    stop() {
      stopped = true;
      following.stop();
    },
  };
}

function openLive({ data, headers, subject }: Msg): Opened {
  const sequence = Number(headers?.get(RepublishHeaders.Sequence));
  return openCommit(data, { subject, sequence }, headers?.get("traceparent") || null);
}
