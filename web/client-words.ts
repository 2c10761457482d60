/**
 * The words of the client library: what its users hold, are told, and may ask for. No code but the
 * error; `client.ts` is the library.
 */
import type {
  After,
  ConversationChange,
  EndFrame,
  EventFrame,
  TokenOut,
} from "../schemas/frames.ts";
import type { Overlap } from "../schemas/events/fields.ts";
import type { State } from "./link.ts";

/** An error that the server named by a code of docs/ERRORS.md; `closed` when the client was closed. */
export class ClientError extends Error {
  readonly code: string;
  constructor(code: string, message: string) {
    super(message);
    this.name = "ClientError";
    this.code = code;
  }
}

/** What a command's commit was: its last revision, and its place in the log. */
export interface Ack {
  readonly id: string;
  readonly conversation: string;
  readonly revision: number;
  readonly seq: number;
}

/** What a subscriber is told, in order and each thing once. */
export interface Handlers {
  event?(frame: EventFrame): void;
  token?(frame: TokenOut): void;
  end?(frame: EndFrame): void;
  /** What was stored before is now delivered; `revision` is where the log stood. Told at each connection. */
  subscribed?(revision: number): void;
  /** The subscription is refused for good, e.g. `not_found`. */
  refused?(error: ClientError): void;
}

export interface Asking {
  readonly model?: string;
  readonly overlap?: Overlap;
  /** The command's id; made here when absent. A repeat with the same id takes effect once. */
  readonly id?: string;
}

export interface Subscription {
  readonly conversation: string;
  /** The exact place up to which frames were delivered; fit for `subscribe` later. */
  cursor(): After;
  stop(): void;
}

export interface Client {
  state(): State;
  /** `parent` chooses what it follows; without it the head. The promise rejects with a ClientError. */
  send(
    conversation: string,
    text: string,
    more?: Asking & { parent?: string | null },
  ): Promise<Ack>;
  cancel(conversation: string, turn?: string): Promise<Ack>;
  regenerate(conversation: string, message: string, more?: Asking): Promise<Ack>;
  edit(conversation: string, message: string, text: string, more?: Asking): Promise<Ack>;
  /** Follows a conversation after `after`, from its beginning without it. */
  subscribe(conversation: string, handlers: Handlers, after?: After): Subscription;
  /** Follows one that its first `send` will begin: nothing is asked of the server before that. */
  begin(conversation: string, handlers: Handlers): Subscription;
  /** The user's conversations on any device; `watched` is told at each connection: read the list anew. */
  watch(handlers: { changed(change: ConversationChange): void; watched?(): void }): () => void;
  /** Tries to connect now instead of at the planned time. */
  wake(): void;
  close(): void;
}
