/**
 * The JSON of long frames that a crowd catches up with, written once instead of once for each: every
 * reader of a conversation is sent the same. Only a frame that a second one asks for is kept, as bytes,
 * and only so many bytes of all conversations (I11).
 */
import { type ActorRef, refKey } from "../../schemas/ids.ts";
import { limits } from "../../schemas/limits.ts";
import type { PushFrame } from "./cursor.ts";

/** Shorter ones are written as quickly as they are found. */
const long_chars = 1_024;
/** What a frame that was asked for once weighs, in bytes. */
const mark_weight = 200;
const encoder = new TextEncoder();

export class SharedJson {
  /** By conversation and frame, null for one that was asked for once; the oldest use comes first. */
  readonly #kept = new Map<string, Map<string, Uint8Array | null>>();
  #weight = 0;

  /** The frame's JSON; null for one that is short or new: whoever asks writes it himself. */
  of(ref: ActorRef, frame: PushFrame): Uint8Array | null {
    const name = nameOf(frame);
    if (name === null) return null;
    const conversation = refKey(ref);
    const frames = this.#kept.get(conversation) ?? new Map<string, Uint8Array | null>();
    this.#kept.delete(conversation);
    this.#kept.set(conversation, frames);
    const known = frames.get(name);
    if (known !== undefined && known !== null) return known;
    const bytes = known === null ? encoder.encode(JSON.stringify(frame)) : null;
    frames.set(name, bytes);
    this.#weight += bytes?.byteLength ?? mark_weight;
    this.#bound();
    return bytes;
  }

  forget(ref: ActorRef): void {
    const conversation = refKey(ref);
    for (const bytes of this.#kept.get(conversation)?.values() ?? []) this.#lighten(bytes);
    this.#kept.delete(conversation);
  }

  #bound(): void {
    for (const [conversation, frames] of this.#kept) {
      for (const [name, bytes] of frames) {
        if (this.#weight <= limits.shared_json_bytes_max) return;
        frames.delete(name);
        this.#lighten(bytes);
      }
      this.#kept.delete(conversation);
    }
  }

  #lighten(bytes: Uint8Array | null): void {
    // One that is kept was a mark before.
    this.#weight -= mark_weight + (bytes?.byteLength ?? 0);
  }
}

/** What tells a long frame from all others of its conversation; null for a short one. */
function nameOf(frame: PushFrame): string | null {
  if (frame.type === "token") {
    const { turn, attempt, from, seq, content } = frame;
    return content.length < long_chars ? null : `${turn} ${attempt} ${from ?? seq} ${seq}`;
  }
  if (frame.type === "end") return null;
  const text = "text" in frame.event ? frame.event.text : null;
  return typeof text !== "string" || text.length < long_chars ? null : `${frame.revision}`;
}
