/**
 * The box of a commit: AES-256-GCM over the JSON of its content, in base64 at the end of the stored
 * bytes. Its additional data binds it to its actor and commit, so that no box can be moved to another.
 */
import { createCipheriv, createDecipheriv, randomBytes } from "node:crypto";
import type { ContentKey } from "./vault.ts";

const nonce_bytes = 12;
const tag_bytes = 16;

const bound = (actor: string, commit: string): Buffer => Buffer.from(`${actor}:${commit}`);

/** Nonces are fetched many at once: one by one they cost a quarter of an append (measured). */
let nonces = Buffer.alloc(0);

function nextNonce(): Buffer {
  if (nonces.length === 0) nonces = randomBytes(nonce_bytes * 1024);
  const nonce = nonces.subarray(0, nonce_bytes);
  nonces = nonces.subarray(nonce_bytes);
  return nonce;
}

/** Seals a text; `actor` is its `refKey`. */
export function sealBox(text: string, key: ContentKey, actor: string, commit: string): string {
  const nonce = nextNonce();
  const cipher = createCipheriv("aes-256-gcm", key, nonce).setAAD(bound(actor, commit));
  const box = cipher.update(text, "utf8");
  return Buffer.concat([nonce, box, cipher.final(), cipher.getAuthTag()]).toString("base64");
}

/** The UTF-8 of what was sealed. Throws when it is not what this key sealed for this commit. */
export function openBox(sealed: string, key: ContentKey, actor: string, commit: string): Buffer {
  const box = Buffer.from(sealed, "base64");
  const opener = createDecipheriv("aes-256-gcm", key, box.subarray(0, nonce_bytes));
  opener.setAAD(bound(actor, commit)).setAuthTag(box.subarray(-tag_bytes));
  const text = opener.update(box.subarray(nonce_bytes, -tag_bytes));
  // What it says is whether the tag is right; this cipher holds no bytes back.
  opener.final();
  return text;
}

const quote = 0x22;
const box_name = ',"sealed":';

/**
 * A stored commit without its box, and the box. `encodeCommit` writes it last, and JSON.parse would
 * take a quarter of its time only to pass over it; so it is cut off where it stands, and whatever
 * stands there otherwise is left whole. Base64 holds no quote: what follows the last but one to the end
 * of the bytes is the box, or nothing of ours, which does not open.
 */
export function cutBox(bytes: Buffer): { plain: string; sealed: string | null } {
  const end = bytes.length - 2;
  const at = bytes[end] === quote ? bytes.lastIndexOf(quote, end - 1) : -1;
  const from = at - box_name.length;
  if (from < 0 || bytes.toString("latin1", from, at) !== box_name) {
    return { plain: bytes.toString(), sealed: null };
  }
  return {
    plain: `${bytes.toString("utf8", 0, from)}}`,
    sealed: bytes.toString("latin1", at + 1, end),
  };
}
