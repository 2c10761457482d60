/**
 * The page's HTTP calls and its signing in. An embedded installation signs its visitor in by itself;
 * elsewhere the visitor pastes an access token, kept for this tab only. Errors are ClientErrors.
 */
import type { Conversation, LocalSignIn, Message, Page } from "../schemas/http.ts";
import { ClientError } from "./client.ts";

export interface Api {
  /** The access token; a new one when `fresh`. */
  token(ask?: { readonly fresh: boolean }): Promise<string>;
  conversations(status: "active" | "archived", cursor: string | null): Promise<Page<Conversation>>;
  conversation(id: string): Promise<Conversation>;
  /** The whole tree of messages, all pages of it. */
  messages(id: string): Promise<Message[]>;
  change(id: string, change: { title?: string; archived?: boolean; head?: string }): Promise<void>;
  remove(id: string): Promise<void>;
}

const storage_key = "colloquy.token";

/** `ask` is called when this installation does not sign visitors in by itself. */
export function openApi(ask: () => Promise<string>): Api {
  let kept: string | null = sessionStorage.getItem(storage_key);
  let signing: Promise<string> | null = null;

  const signIn = async (): Promise<string> => {
    const answer = await fetch("/api/v1/auth/local", { method: "POST" });
    if (answer.ok) return ((await answer.json()) as LocalSignIn).accessToken; // its own route
    if (answer.status !== 404) throw await problemOf(answer);
    const token = await ask();
    sessionStorage.setItem(storage_key, token);
    return token;
  };

  const token = async ({ fresh } = { fresh: false }): Promise<string> => {
    if (!fresh && kept !== null) return kept;
    signing ??= signIn().finally(() => {
      signing = null;
    });
    kept = await signing;
    return kept;
  };

  const call = async (
    method: string,
    path: string,
    body?: object,
    again = true,
  ): Promise<Response> => {
    const headers: Record<string, string> = { authorization: `Bearer ${await token()}` };
    if (body !== undefined) headers["content-type"] = "application/json";
    const init: RequestInit = { method, headers };
    if (body !== undefined) init.body = JSON.stringify(body);
    const answer = await fetch(`/api/v1/conversations${path}`, init).catch(() => {
      throw new ClientError("unreachable", "The server cannot be reached.");
    });
    if (answer.ok) return answer;
    if (answer.status === 401 && again) {
      await token({ fresh: true });
      return call(method, path, body, false);
    }
    throw await problemOf(answer);
  };
  // The bodies are the gateway's own, in the shapes of schemas/http.ts.
  const read = async <T>(path: string): Promise<T> => (await (await call("GET", path)).json()) as T;

  return {
    token,
    conversations: (status, cursor) =>
      read(
        `?status=${status}&limit=50${cursor === null ? "" : `&cursor=${encodeURIComponent(cursor)}`}`,
      ),
    conversation: (id) => read(`/${id}`),
    async messages(id) {
      const all: Message[] = [];
      let cursor: string | null = null;
      do {
        const more: string = cursor === null ? "" : `&cursor=${encodeURIComponent(cursor)}`;
        const page: Page<Message> = await read(`/${id}/messages?all=true&limit=200${more}`);
        all.push(...page.items);
        cursor = page.next;
      } while (cursor !== null);
      return all;
    },
    async change(id, change) {
      await call("PATCH", `/${id}`, change);
    },
    async remove(id) {
      await call("DELETE", `/${id}`);
    },
  };
}

async function problemOf(answer: Response): Promise<ClientError> {
  const body: unknown = await answer.json().catch(() => null);
  const code =
    typeof body === "object" && body !== null && "code" in body ? String(body.code) : "internal";
  return new ClientError(code, answer.statusText);
}
