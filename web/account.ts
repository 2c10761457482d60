/**
 * Who the page's visitor is. An embedded installation signs its visitor in by itself; elsewhere he
 * signs in, and a refresh token keeps him signed in on this browser. Each refresh token is good once,
 * and one that comes twice ends the session, so tabs take turns and read what the one before was
 * given. What is stored can be read by this page's own script alone, which is all the script there is
 * (the Content-Security-Policy of gateway/http/page.ts).
 */
import type { LocalSignIn } from "../schemas/http.ts";
import type { TokenPair } from "../schemas/identity.ts";
import { ClientError } from "./client-words.ts";
import { browserClock, expiryOf } from "./link.ts";

/** `refreshToken` is null for an access token that the visitor has brought; it is kept for this tab. */
export type SignedIn =
  | Pick<TokenPair, "accessToken" | "refreshToken">
  | { readonly accessToken: string; readonly refreshToken: null };

export interface Account {
  /** The access token; a new one when `fresh`. Rejects with a ClientError. */
  token(ask?: { readonly fresh: boolean }): Promise<string>;
  /** Whether somebody is signed in by a session of this browser. */
  hasSession(): boolean;
  /** Goes on in the workspace of an invitation; the session before ends. Rejects with a ClientError. */
  join(invitation: string): Promise<void>;
  /** Ends the session, here and on the server, and begins the page anew; so do the other tabs. */
  signOut(): Promise<void>;
}

const session_key = "colloquy.session";
const tab_key = "colloquy.token";
/** A token that expires sooner than this is not handed out. */
const spare_ms = 30_000;

/**
 * `ask` signs the visitor in, and nobody signs in by himself who is `invited`; `changed` is told
 * whether there is somebody to sign out.
 */
export function openAccount(
  ask: () => Promise<SignedIn>,
  invited: () => boolean,
  changed: (signedIn: boolean) => void,
): Account {
  // A token that was brought joins nothing: who is invited signs in.
  const brought = invited() ? null : sessionStorage.getItem(tab_key);
  let kept: string | null = stored()?.accessToken ?? brought;
  let signing: Promise<string> | null = null;
  changed(kept !== null);
  addEventListener("storage", (event) => {
    if (event.key === session_key && event.newValue === null) location.reload();
  });

  const signIn = async (old: string | null): Promise<string> => {
    const gone_on = await refresh(old);
    if (gone_on !== null) return gone_on;
    if (!invited()) {
      const local = await reach("/api/v1/auth/local", { method: "POST" });
      if (local.ok) return ((await local.json()) as LocalSignIn).accessToken; // its own route
      if (local.status !== 404) throw await problemOf(local);
    }
    const signed = await ask();
    keep(signed);
    changed(true);
    return signed.accessToken;
  };

  const token: Account["token"] = async ({ fresh } = { fresh: false }) => {
    if (!fresh && kept !== null && !isOld(kept)) return kept;
    const old = kept;
    signing ??= signIn(old).finally(() => {
      signing = null;
    });
    kept = await signing;
    return kept;
  };

  return {
    token,
    hasSession: () => stored() !== null,
    async join(invitation) {
      const authorization = `Bearer ${await token()}`;
      const answer = await reach("/api/v1/auth/join", {
        method: "POST",
        headers: { authorization, "content-type": "application/json" },
        body: JSON.stringify({ invitation }),
      });
      if (!answer.ok) throw await problemOf(answer);
      const pair = (await answer.json()) as TokenPair; // as schemas/identity.ts
      kept = pair.accessToken;
      keep(pair);
      // The other tabs go on with the new one; the old one would stay open with nobody in it.
      await reach("/api/v1/auth/logout", { method: "POST", headers: { authorization } }).catch(
        () => null,
      );
    },
    async signOut() {
      const headers = { authorization: `Bearer ${kept ?? ""}` };
      // Without the server the session ends by itself; here it ends in any case.
      await reach("/api/v1/auth/logout", { method: "POST", headers }).catch(() => null);
      localStorage.removeItem(session_key);
      sessionStorage.removeItem(tab_key);
      location.assign("/");
    },
  };
}

const isOld = (token: string): boolean =>
  (expiryOf(token) ?? Number.POSITIVE_INFINITY) < browserClock.now() + spare_ms;

/** The session of this browser, if there is one. */
function stored(): TokenPair | null {
  // Only `keep` writes it.
  return JSON.parse(localStorage.getItem(session_key) ?? "null") as TokenPair | null;
}

function keep(signed: SignedIn): void {
  if (signed.refreshToken === null) sessionStorage.setItem(tab_key, signed.accessToken);
  else localStorage.setItem(session_key, JSON.stringify(signed));
}

/** A new access token of the session; null when there is no session any more. */
async function refresh(old: string | null): Promise<string | null> {
  if (stored() === null) return null;
  return inTurn(async () => {
    const session = stored();
    if (session === null) return null;
    const { accessToken, refreshToken } = session;
    if (accessToken !== old && !isOld(accessToken)) return accessToken;
    const answer = await reach("/api/v1/auth/refresh", {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify({ refreshToken }),
    });
    if (answer.ok) {
      const pair = (await answer.json()) as TokenPair; // as schemas/identity.ts
      keep(pair);
      return pair.accessToken;
    }
    if (answer.status !== 401) throw await problemOf(answer);
    localStorage.removeItem(session_key);
    return null;
  });
}

/** One tab after the other, where the browser lets tabs agree (over TLS, and on this machine). */
const inTurn = <T>(call: () => Promise<T>): Promise<T> =>
  "locks" in navigator ? navigator.locks.request(session_key, call) : call();

/** Rejects with the ClientError `unreachable`. */
export const reach = (path: string, init: RequestInit): Promise<Response> =>
  fetch(path, init).catch(() => {
    throw new ClientError("unreachable", "The server cannot be reached.");
  });

export async function problemOf(answer: Response): Promise<ClientError> {
  const body: unknown = await answer.json().catch(() => null);
  const code =
    typeof body === "object" && body !== null && "code" in body ? String(body.code) : "internal";
  return new ClientError(code, answer.statusText);
}
