/** Server-Sent Events in the way every program reads them: `fetch`, bytes, and the words of the HTML standard. */
import { pulse } from "../support/pulse.ts";

export interface SseMessage {
  readonly event: string;
  readonly id: string;
  readonly data: Readonly<Record<string, unknown>>;
}

export interface SseStream {
  readonly status: number;
  readonly headers: Headers;
  readonly messages: readonly SseMessage[];
  /** Resolves when the messages so far hold; fails when the stream ends before. */
  until(holds: (messages: readonly SseMessage[]) => boolean): Promise<void>;
  /** Resolves when the server has ended it. */
  readonly ended: Promise<void>;
  /** Closes it from here. */
  close(): void;
}

/** The messages of a text of whole Server-Sent Events, comments left out. */
export function readEvents(text: string): SseMessage[] {
  return text.split("\n\n").flatMap((block) => {
    const fields = new Map<string, string>();
    for (const line of block.split("\n")) {
      const at = line.indexOf(": ");
      if (at > 0) fields.set(line.slice(0, at), line.slice(at + 2));
    }
    const data = fields.get("data");
    if (data === undefined || data === "[DONE]") return [];
    // What the server writes is what the tests look at.
    const parsed = JSON.parse(data) as SseMessage["data"];
    return [{ event: fields.get("event") ?? "message", id: fields.get("id") ?? "", data: parsed }];
  });
}

export async function openSse(
  url: string,
  init: Omit<RequestInit, "headers"> & { readonly headers?: Record<string, string> } = {},
): Promise<SseStream> {
  const gone = new AbortController();
  const headers = { accept: "text/event-stream", ...init.headers };
  const response = await fetch(url, { ...init, headers, signal: gone.signal });
  const messages: SseMessage[] = [];
  const news = pulse();
  let over = false;
  const read = async (): Promise<void> => {
    let rest = "";
    const decoder = new TextDecoder();
    for await (const bytes of response.body ?? []) {
      rest += decoder.decode(bytes, { stream: true });
      const end = rest.lastIndexOf("\n\n");
      if (end < 0) continue;
      messages.push(...readEvents(rest.slice(0, end + 2)));
      rest = rest.slice(end + 2);
      news.beat();
    }
  };
  const ended = read()
    .catch((error: unknown) => {
      if (!gone.signal.aborted) throw error;
    })
    .finally(() => {
      over = true;
      news.beat();
    });
  ended.catch(() => {});
  return {
    ...{ status: response.status, headers: response.headers, messages, ended },
    async until(holds) {
      await news.until(() => over || holds(messages));
      if (!holds(messages)) throw new Error(`it ended after ${JSON.stringify(messages.at(-1))}`);
    },
    close: () => gone.abort(),
  };
}
