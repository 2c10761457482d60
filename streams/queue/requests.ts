/**
 * Which request an idempotency key came with first, for a day: so that the same key with another request
 * is refused by name instead of being answered with what the first one did. That a command takes effect
 * once (I2) does not depend on it: its actor holds that, by the command's id.
 */
import { Kvm, type KV } from "@nats-io/kv";
import type { Streams } from "../connection.ts";
import { requests_bucket } from "../topology.ts";

export interface Requests {
  /** What the key came with first: `print` itself when it is new. Both are hex. Throws when nobody knows. */
  first(key: string, print: string): Promise<string>;
}

export function openRequests(streams: Streams): Requests {
  let opening: Promise<KV> | null = null;
  const bucket = (): Promise<KV> => {
    opening ??= new Kvm(streams.js)
      .open(requests_bucket, { allow_direct: false })
      .catch((error: unknown) => {
        opening = null;
        throw error;
      });
    return opening;
  };
  return {
    async first(key, print) {
      const kv = await bucket();
      try {
        await kv.create(key, print);
        return print;
      } catch (error) {
        // It is there: or else the server's own words say what is wrong.
        const entry = await kv.get(key);
        if (entry === null) throw error;
        return entry.string();
      }
    },
  };
}
