/**
 * Appends one decision as one message. It says "appended" only of what is stored, and "conflict" only
 * when another commit stands there: what the network leaves open is settled by the leader (I3).
 */
import { JetStreamApiCodes, JetStreamApiError } from "@nats-io/jetstream";
import { headers } from "@nats-io/transport-node";
import type { CommitDraft, Head } from "../../schemas/commit.ts";
import { limits } from "../../schemas/limits.ts";
import { eventSubject } from "../../schemas/subjects.ts";
import { contentOf, encodeCommit, hashOf } from "./codec.ts";
import type { Streams } from "../connection.ts";
import { unavailable } from "../faults.ts";
import { fromLeader } from "../leader.ts";
import type { Vault } from "../content/vault.ts";

/** `{ ok: false }`: another commit stands there; drop the state, reload, decide again. */
export type Appended = { ok: true; head: Head } | { ok: false };

/** Resolves only when the outcome is known. Throws `AppError`: `unavailable`, `too_large`. */
export async function append(
  streams: Streams,
  vault: Vault,
  draft: CommitDraft,
  head: Head,
): Promise<Appended> {
  const subject = eventSubject(draft.ref);
  const content = contentOf(draft.events);
  const known = content === null ? null : vault.cached(draft.ref);
  const key = known === undefined ? await vault.key(draft.ref, true) : known;
  const bytes = encodeCommit(draft, head, content, key);
  const revision = head.revision + draft.events.length;
  const appended = (sequence: number, hash: string): Appended => ({
    ok: true,
    head: { revision, sequence, hash },
  });

  let cause: unknown;
  for (let attempt = 0; attempt < limits.append_attempts_max; attempt++) {
    if (attempt > 0) await pause(limits.append_backoff_ms[attempt] ?? 0);
    try {
      const ack = await streams.tracked(
        streams.js.publish(subject, bytes, {
          msgID: draft.commit,
          expect: { lastSubjectSequence: head.sequence },
          timeout: limits.append_timeout_ms,
          // The client writes into the headers it is given, so they are fresh for every publish.
          ...(draft.traceparent === null ? {} : { headers: traced(draft.traceparent) }),
        }),
      );
      if (!ack.duplicate) return appended(ack.seq, hashOf(bytes));
    } catch (error) {
      cause = error;
      // The server refused it for another reason than what lies there, so it is not stored.
      if (error instanceof JetStreamApiError && !unsettled.has(error.code)) break;
    }
    try {
      const last = await fromLeader(streams, { last_by_subj: subject });
      if (last !== null && last.header.get("Nats-Msg-Id") === draft.commit) {
        return appended(last.seq, hashOf(last.data));
      }
      if ((last?.seq ?? 0) !== head.sequence) return { ok: false };
      // Nothing has moved: ours is lost or still on its way. The same message again is harmless,
      // since only one of them can follow `head`.
    } catch (error) {
      cause = error;
    }
  }
  throw unavailable("The log cannot be written", cause);
}

/**
 * What says nothing about whether our commit is stored: 10071 comes before the look at the message
 * id on a single server, 10158 and 10164 (and 10163, not ready) mean that a write is in flight.
 */
const unsettled: ReadonlySet<number> = new Set([
  JetStreamApiCodes.StreamWrongLastSequence,
  JetStreamApiCodes.StreamWrongLastSequenceUnknown,
  10158,
  10163,
]);

function traced(traceparent: string): ReturnType<typeof headers> {
  const made = headers();
  made.set("traceparent", traceparent);
  return made;
}

const pause = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));
