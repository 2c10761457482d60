/**
 * Content keys: one AES-256 key per actor in KV `KEYS`, wrapped by the master key. Erasing an actor
 * overwrites its key where it lies and leaves a marker, so that no key of that name is made again:
 * what was sealed is gone for ever, and what is written later stays blank.
 *
 * Keys are read from the leader only: a replica that lags would make fresh content look erased.
 */
import {
  createCipheriv,
  createDecipheriv,
  createSecretKey,
  type KeyObject,
  randomBytes,
} from "node:crypto";
import { JetStreamApiCodes, JetStreamApiError } from "@nats-io/jetstream";
import { type KV, KvWatchInclude, Kvm } from "@nats-io/kv";
import { AppError } from "../../schemas/errors.ts";
import { type ActorRef, refKey } from "../../schemas/ids.ts";
import { limits } from "../../schemas/limits.ts";
import { kvKey } from "../../schemas/subjects.ts";
import type { Streams } from "../connection.ts";
import { unavailable } from "../faults.ts";
import { keysTogether } from "./keys-together.ts";
import { Recent } from "../log/recent.ts";
import { keys_bucket } from "../topology.ts";

/** An actor's own AES-256 key. */
export type ContentKey = KeyObject;

export interface Vault {
  /**
   * The actor's key; with `make`, a new one when it has none. Null when it was erased, or has none
   * and none is to be made. Throws `AppError("unavailable")`.
   */
  key(ref: ActorRef, make: boolean): Promise<ContentKey | null>;
  /**
   * The keys of many actors at once, by `refKey`, as `key` without `make` would give them. Throws
   * `AppError("unavailable")`.
   */
  keys(refs: readonly ActorRef[]): Promise<ReadonlyMap<string, ContentKey | null>>;
  /** What is known without asking: the key, null for an erased one, undefined for "ask". */
  cached(ref: ActorRef): ContentKey | null | undefined;
  /** Erases the actor's key for ever; no error when it is gone already. */
  erase(ref: ActorRef): Promise<void>;
  /** Whether the actor's key was erased: the store's own word, not what is remembered. */
  erased(ref: ActorRef): Promise<boolean>;
  /** Calls with the `refKey` of every actor whose key is erased, by whomever; the result ends it. */
  onErased(call: (actor: string) => void): () => void;
}

const key_bytes = 32;
const nonce_bytes = 12;
const tag_bytes = 16;
/** An entry that only the right master key opens; no actor can have its name. */
export const master_probe = "master-key";

/** Whether a master key opens what lies in the vault under `name`. */
export function opensWith(masterKey: Uint8Array, name: string, wrapped: Uint8Array): boolean {
  try {
    unwrap(createSecretKey(masterKey), name, wrapped);
    return true;
  } catch {
    return false;
  }
}

/**
 * Opens the vault. Throws `AppError("unavailable")` when the keys were wrapped by another master
 * key, since whatever we sealed could then not be read by the others.
 */
export async function openVault(streams: Streams, masterKey: Uint8Array): Promise<Vault> {
  if (masterKey.length !== key_bytes) throw new TypeError("the master key has 32 bytes");
  const master = createSecretKey(masterKey);
  const cache = new Recent<ContentKey | null>(limits.content_keys_cached_max);
  const asking = new Map<string, Promise<ContentKey | null>>();
  try {
    const kv = await new Kvm(streams.js).open(keys_bucket, { allow_direct: false });
    await proveMaster(kv, master);
    const calls = new Set<(actor: string) => void>();
    const forget = (name: string): void => {
      cache.set(name, null);
      for (const call of calls) call(name);
    };
    await followErasures(kv, forget);
    return vaultOf(streams, kv, master, cache, asking, { calls, forget });
  } catch (cause) {
    throw unavailable("The content keys cannot be read", cause);
  }
}

function vaultOf(
  streams: Streams,
  kv: KV,
  master: KeyObject,
  cache: Recent<ContentKey | null>,
  asking: Map<string, Promise<ContentKey | null>>,
  erasures: { readonly calls: Set<(actor: string) => void>; forget(name: string): void },
): Vault {
  const together = keysTogether(streams);
  const read = async (name: string): Promise<ContentKey | null | undefined> => {
    const entry = await streams.tracked(kv.get(name));
    if (entry === null) return undefined;
    return entry.operation === "PUT" ? createSecretKey(unwrap(master, name, entry.value)) : null;
  };
  const make = async (name: string): Promise<ContentKey | null> => {
    const bytes = randomBytes(key_bytes);
    try {
      // Not `create`, which would make a new key over the marker of an erased one.
      await streams.tracked(kv.put(name, wrap(master, name, bytes), { previousSeq: 0 }));
      return createSecretKey(bytes);
    } catch (error) {
      // Somebody else was first, or our own write landed without its answer: what lies there counts.
      const there = await read(name);
      if (there !== undefined) return there;
      throw error;
    }
  };
  const ask = async (name: string, making: boolean): Promise<ContentKey | null> => {
    // Who needs one to be made has a new actor as a rule, so making is tried first.
    const key = making ? await make(name) : await read(name);
    if (key === undefined) return null;
    // An erasure that we heard of in the meantime is final.
    if (cache.get(name) === null) return null;
    cache.set(name, key);
    return key;
  };
  return {
    cached: (ref) => cache.get(refKey(ref)),
    async key(ref, making) {
      const known = this.cached(ref);
      if (known !== undefined) return known;
      const name = kvKey(ref);
      const question = `${making ? "make" : "read"} ${name}`;
      let answer = asking.get(question);
      if (answer === undefined) {
        answer = ask(name, making).finally(() => asking.delete(question));
        asking.set(question, answer);
      }
      try {
        return await answer;
      } catch (cause) {
        throw unavailable("A content key cannot be read", cause);
      }
    },
    async keys(refs) {
      const keys = new Map<string, ContentKey | null>();
      const names = new Map(refs.map((ref) => [kvKey(ref), ref]));
      // A replica that lags, or a role that may not ask so, leaves some out; the leader knows.
      const found = await together([...names.keys()]);
      await Promise.all(
        [...names].map(async ([name, ref]) => {
          const wrapped = found.get(name);
          if (wrapped !== undefined && cache.get(name) !== null) {
            cache.set(name, createSecretKey(unwrap(master, name, wrapped)));
          }
          keys.set(name, await this.key(ref, false));
        }),
      );
      return keys;
    },
    async erase(ref) {
      const name = kvKey(ref);
      try {
        const entry = await streams.tracked(kv.get(name));
        if (entry?.operation === "PUT") await overwrite(streams, entry.revision);
        if (entry === null || entry.operation === "PUT") await kv.purge(name);
      } catch (cause) {
        throw unavailable("A content key cannot be erased", cause);
      }
      erasures.forget(name);
    },
    async erased(ref) {
      try {
        const entry = await streams.tracked(kv.get(kvKey(ref)));
        return entry !== null && entry.operation !== "PUT";
      } catch (cause) {
        throw unavailable("A content key cannot be looked up", cause);
      }
    },
    onErased(call) {
      erasures.calls.add(call);
      return () => erasures.calls.delete(call);
    },
  };
}

/** Overwrites a stored key with random bytes; the marker that follows would only unlink it. */
async function overwrite(streams: Streams, revision: number): Promise<void> {
  try {
    await streams.jsm.streams.deleteMessage(`KV_${keys_bucket}`, revision, true);
  } catch (error) {
    const gone =
      error instanceof JetStreamApiError && /no message found|not found/.test(error.message);
    if (!gone) throw error;
  }
}

/** Every process hears of an erasure, whoever asked for it, and forgets the key. */
async function followErasures(kv: KV, erased: (name: string) => void): Promise<void> {
  const changes = await kv.watch({ include: KvWatchInclude.UpdatesOnly, headers_only: true });
  const listen = async (): Promise<void> => {
    for await (const entry of changes) if (entry.operation !== "PUT") erased(entry.key);
  };
  // Ends with the connection; the client makes the watch anew when only the link was lost.
  listen().catch(() => undefined);
}

async function proveMaster(kv: KV, master: KeyObject): Promise<void> {
  const proof = async (): Promise<boolean> => {
    const entry = await kv.get(master_probe);
    if (entry === null) return false;
    unwrap(master, master_probe, entry.value);
    return true;
  };
  if (await proof()) return;
  try {
    await kv.put(master_probe, wrap(master, master_probe, randomBytes(key_bytes)), {
      previousSeq: 0,
    });
  } catch (error) {
    const raced =
      error instanceof JetStreamApiError &&
      error.code === JetStreamApiCodes.StreamWrongLastSequence;
    if (raced) await proof();
    // A role that may not write keys leaves the proof to one that may.
    else if (!/permission/i.test(String(error))) throw error;
  }
}

function wrap(master: KeyObject, name: string, bytes: Uint8Array): Uint8Array {
  const nonce = randomBytes(nonce_bytes);
  const cipher = createCipheriv("aes-256-gcm", master, nonce).setAAD(Buffer.from(name));
  return Buffer.concat([nonce, cipher.update(bytes), cipher.final(), cipher.getAuthTag()]);
}

function unwrap(master: KeyObject, name: string, wrapped: Uint8Array): Buffer {
  try {
    const box = Buffer.from(wrapped.buffer, wrapped.byteOffset, wrapped.byteLength);
    const opener = createDecipheriv("aes-256-gcm", master, box.subarray(0, nonce_bytes));
    opener.setAAD(Buffer.from(name)).setAuthTag(box.subarray(-tag_bytes));
    return Buffer.concat([opener.update(box.subarray(nonce_bytes, -tag_bytes)), opener.final()]);
  } catch (cause) {
    throw new AppError(
      "unavailable",
      "COLLOQUY_MASTER_KEY is not the key that the content keys of this log were wrapped with.",
      { cause },
    );
  }
}
