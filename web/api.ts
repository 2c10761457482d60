/** The page's HTTP calls, as whoever is signed in (account.ts). Errors are ClientErrors. */
import type { Conversation, Message, Page } from "../schemas/http.ts";
import { type Account, problemOf, reach } from "./account.ts";

export interface Api {
  conversations(status: "active" | "archived", cursor: string | null): Promise<Page<Conversation>>;
  conversation(id: string): Promise<Conversation>;
  /** The whole tree of messages, all pages of it. */
  messages(id: string): Promise<Message[]>;
  change(id: string, change: { title?: string; archived?: boolean; head?: string }): Promise<void>;
  remove(id: string): Promise<void>;
}

export function openApi(account: Pick<Account, "token">): Api {
  const { token } = account;

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
    const answer = await reach(`/api/v1/conversations${path}`, init);
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
