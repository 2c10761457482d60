/**
 * One opened conversation: its history over HTTP, then its frames, folded into one view. A reload in
 * the middle of an answer ends here: the history says where to follow from, the frames do the rest.
 */
import type { Api } from "./api.ts";
import { type Ack, type Client, ClientError, newId, type Subscription } from "./client.ts";
import { empty_view, fold, followFrom, type View, viewOf } from "./conversation.ts";

export interface Session {
  readonly id: string;
  view(): View;
  /** Sends a message; `sent` gets its id before anything travels. */
  send(text: string, sent: (id: string) => void): Promise<Ack>;
  close(): void;
}

export interface SessionHandlers {
  changed(view: View): void;
  /** It cannot be opened. */
  failed(error: unknown): void;
}

/** Opens a stored conversation, or with `fresh` one that its first message will begin. */
export function openSession(
  api: Api,
  client: Client,
  id: string,
  fresh: boolean,
  on: SessionHandlers,
): Session {
  let view: View = empty_view;
  let subscription: Subscription | null = null;
  let closed = false;

  const apply = (next: View): void => {
    if (next === view || closed) return;
    view = next;
    on.changed(view);
  };
  const handlers = {
    event: (frame: Parameters<typeof fold>[1]) => apply(fold(view, frame)),
    token: (frame: Parameters<typeof fold>[1]) => apply(fold(view, frame)),
    refused: (error: ClientError) => {
      if (!closed) on.failed(error);
    },
  };

  const load = async (): Promise<void> => {
    try {
      // The conversation first: whatever comes between the two readings is then followed.
      const conversation = await api.conversation(id);
      const messages = await api.messages(id);
      if (closed) return;
      const revision = followFrom(conversation, messages);
      apply(viewOf(conversation, messages));
      subscription = client.subscribe(id, handlers, { revision });
    } catch (error) {
      if (closed) return;
      if (!(error instanceof ClientError) || error.code !== "not_found") return on.failed(error);
      // Begun a moment ago, it may not be listed yet; the log itself knows.
      subscription = client.subscribe(id, handlers);
    }
  };

  if (fresh) subscription = client.begin(id, handlers);
  else void load();

  return {
    id,
    view: () => view,
    send(text, sent) {
      const message = newId();
      sent(message);
      return client.send(id, text, { id: message });
    },
    close() {
      closed = true;
      subscription?.stop();
    },
  };
}
