/**
 * API keys as credentials: `clq_<tenant>.<key>.<secret>`. A key may do what its user's role allows now
 * and its scopes allow besides. One that was good a moment ago is judged from memory; a change of the
 * tenant's members or keys makes the gateway look again (I10). One that was good before is told apart
 * from one that somebody invents.
 */
import { AppError } from "../../schemas/errors.ts";
import { limits } from "../../schemas/limits.ts";
import type { Judge } from "./authenticate.ts";
import type { Identity } from "./identity.ts";
import type { People } from "./people.ts";
import type { Revocations } from "./revocations.ts";
import { hashOfSecret, isHashOf, parseApiKey } from "./secrets.ts";

interface Good {
  readonly who: Identity;
  readonly until_ms: number;
}

export function judgeApiKeys(people: People, revocations: Revocations): Judge {
  /** By the hash of the key; what was looked at longest ago comes first. */
  const good = new Map<string, Good>();
  revocations.onChange((tenant) => {
    for (const [hash, { who }] of good)
      if (who.tenant === tenant) good.set(hash, { who, until_ms: 0 });
  });
  const look = async (credential: string, now_ms: number): Promise<Identity> => {
    const named = parseApiKey(credential);
    if (named === null) throw new AppError("unauthenticated");
    const { tenant, id } = named;
    const { keys, members } = await people.workspace(tenant);
    const key = keys.get(id);
    const role = members.get(key?.user ?? "")?.role;
    if (key === undefined || role === undefined || !isHashOf(credential, key.secret)) {
      throw new AppError("unauthenticated");
    }
    const expires_ms = key.expires === null ? never_ms : Date.parse(key.expires);
    if (expires_ms <= now_ms) throw new AppError("unauthenticated", "The API key has expired.");
    const { user, scopes } = key;
    const who = { tenant, user, role, expires_ms, session: null, key: id, scopes };
    return who;
  };
  const keep = (hash: string, who: Identity, now_ms: number): void => {
    for (const oldest of good.keys()) {
      if (good.size < limits.api_keys_known_max) break;
      good.delete(oldest);
    }
    const until_ms = Math.min(now_ms + limits.api_key_known_ms, who.expires_ms);
    good.set(hash, { who, until_ms });
  };
  return (credential, now_ms) => {
    if (!credential.startsWith("clq_")) return null;
    const hash = hashOfSecret(credential);
    const found = good.get(hash);
    if (found !== undefined && found.until_ms > now_ms) return found.who;
    return {
      familiar: found !== undefined,
      async judge() {
        try {
          const who = await look(credential, now_ms);
          good.delete(hash);
          keep(hash, who, now_ms);
          return who;
        } catch (error) {
          // It is good no more: from here on it is a stranger's.
          if (error instanceof AppError && error.code === "unauthenticated") good.delete(hash);
          throw error;
        }
      },
    };
  };
}

/** A key without an end; sockets count to it in steps. */
const never_ms = Number.MAX_SAFE_INTEGER;
