/**
 * The resumable client: used by the page, the terminal client, the tests, and by whoever likes it.
 * Nothing that was sent is lost and nothing that was read is read twice, whatever the network does:
 * unanswered commands are repeated with the same ids and in their order, and every conversation is
 * subscribed again from its exact cursor. No dependencies; runs in browsers and in Node 22.
 */
import type { After, EndFrame, EventFrame, ServerFrame, TokenOut } from "../schemas/frames.ts";
import {
  type Ack,
  type Client,
  ClientError,
  type Handlers,
  type Subscription,
} from "./client-words.ts";
import { type Cursor, openCursor } from "./cursor.ts";
import { backoff, browserClock, type LinkOptions, openLink } from "./link.ts";
import { newId } from "./new-id.ts";

export { newId } from "./new-id.ts";
export { ClientError } from "./client-words.ts";
export type { Ack, Asking, Client, Handlers, Subscription } from "./client-words.ts";
export type { State, TokenProvider } from "./link.ts";

export type ClientOptions = LinkOptions & { readonly ids?: () => string };

interface Pending {
  readonly frame: { readonly id: string; readonly type: string; readonly conversation: string };
  readonly resolve: (ack: Ack) => void;
  readonly reject: (error: ClientError) => void;
  posts: number;
  refusals: number;
}
interface Room {
  readonly conversation: string;
  readonly handlers: Handlers;
  readonly cursor: Cursor;
  /** It waits for its first `send`: the server does not know it yet. */
  fresh: boolean;
  /** The id of the `subscribe` that is on its way; gaps are expected until it is answered. */
  asked: string | null;
  attempts: number;
  retry: (() => void) | null;
}

const frame_bytes_max = 64 * 1024;
const pending_max = 256;
const repeats_max = 6;
/** Refusals that say nothing about the command itself: the same id may be sent again. */
const passing = new Set(["command_unanswered", "unavailable", "shutting_down", "overloaded"]);

/** Calls a handler of the application so that its mistake stays its own. */
function tell(call: () => void): void {
  try {
    call();
  } catch (error) {
    queueMicrotask(() => {
      throw error;
    });
  }
}

export function connect(options: ClientOptions): Client {
  const ids = options.ids ?? newId;
  const random = options.random ?? Math.random;
  const after = (options.clock ?? browserClock).after;
  const pending = new Map<string, Pending>();
  const rooms = new Map<string, Room>();
  const watchers = new Set<Parameters<Client["watch"]>[0]>();
  const link = openLink(options, resume, receive);
  let frame_max = frame_bytes_max;

  function resume(ready: { limits: { frame_bytes_max: number } }): void {
    frame_max = ready.limits.frame_bytes_max;
    if (watchers.size > 0) link.post({ type: "watch", id: ids() });
    for (const room of rooms.values()) {
      room.asked = null;
      room.attempts = 0;
      if (!room.fresh) ask(room);
    }
    for (const command of pending.values()) post(command);
  }

  function post(command: Pending): void {
    if (link.post(command.frame)) command.posts += 1;
  }

  /** Subscribes a room from its cursor. */
  function ask(room: Room): void {
    room.retry?.();
    room.retry = null;
    const id = ids();
    const at = room.cursor.after();
    const place = at.revision > 0 ? { after: at } : {};
    if (link.post({ type: "subscribe", id, conversation: room.conversation, ...place })) {
      room.asked = id;
      room.attempts += 1;
      for (const end of room.cursor.replay(room.conversation)) tell(() => room.handlers.end?.(end));
    }
  }

  /** Asks again: at once for a first gap, with growing waits when that does not help. */
  function askLater(room: Room): void {
    if (room.attempts === 0) return ask(room);
    if (room.retry !== null) return;
    room.retry = after(backoff(room.attempts, random), () => {
      room.retry = null;
      if (rooms.get(room.conversation) === room) ask(room);
    });
  }

  function deliver(frame: EventFrame | TokenOut | EndFrame): void {
    const room = rooms.get(frame.conversation);
    if (room === undefined) return;
    const verdict = room.cursor.take(frame);
    if (verdict === "gap" && room.asked === null) askLater(room);
    if (verdict !== "next") return;
    room.fresh = false;
    if (room.asked === null) room.attempts = 0;
    tell(() => {
      if (frame.type === "event") room.handlers.event?.(frame);
      else if (frame.type === "token") room.handlers.token?.(frame);
      else room.handlers.end?.(frame);
    });
  }

  function acknowledge(ack: Ack): void {
    const command = pending.get(ack.id);
    if (command === undefined) return;
    pending.delete(ack.id);
    const room = rooms.get(ack.conversation);
    if (room?.fresh === true) {
      room.fresh = false;
      // A repeat changed nothing, so its ack need not have begun a subscription: ask for one.
      if (command.posts > 1 || command.refusals > 0) ask(room);
    }
    command.resolve({
      id: ack.id,
      conversation: ack.conversation,
      revision: ack.revision,
      seq: ack.seq,
    });
  }

  function refuse(id: string, code: string, message: string): void {
    const command = pending.get(id);
    if (command !== undefined) {
      command.refusals += 1;
      if (passing.has(code) && command.refusals <= repeats_max) {
        after(backoff(command.refusals, random), () => {
          if (pending.get(id) === command) post(command);
        });
        return;
      }
      pending.delete(id);
      command.reject(new ClientError(code, message));
      return;
    }
    const room = [...rooms.values()].find(({ asked }) => asked === id);
    if (room === undefined) return;
    room.asked = null;
    if (passing.has(code)) return askLater(room);
    rooms.delete(room.conversation);
    tell(() => room.handlers.refused?.(new ClientError(code, message)));
  }

  function receive(frame: ServerFrame): void {
    switch (frame.type) {
      case "event":
      case "token":
      case "end":
        return deliver(frame);
      case "ack":
        return acknowledge(frame);
      case "nack":
        return refuse(frame.id, frame.error.code, frame.error.message);
      case "subscribed": {
        const room = rooms.get(frame.conversation);
        if (room === undefined || room.asked !== frame.id) return;
        room.asked = null;
        // Short of what the server says it sent: something was lost on the way.
        if (room.cursor.after().revision < frame.revision) return askLater(room);
        room.attempts = 0;
        return tell(() => room.handlers.subscribed?.(frame.revision));
      }
      case "watched":
        for (const watcher of watchers) tell(() => watcher.watched?.());
        return;
      case "changed":
        for (const watcher of watchers) tell(() => watcher.changed(frame.conversation));
        return;
      default: // pong, authenticated, unsubscribed and general errors ask for nothing
    }
  }

  function command(type: string, conversation: string, data: object, id = ids()): Promise<Ack> {
    return new Promise((resolve, reject) => {
      const state = link.state();
      const frame = { type, id, conversation, ...data };
      const size = new TextEncoder().encode(JSON.stringify(frame)).length;
      if (state.name === "closed") {
        reject(new ClientError(state.code ?? "closed", "The connection is closed."));
      } else if (size > frame_max) {
        // Sent, it would close the socket, be repeated, and close the next one.
        reject(new ClientError("text_too_long", "The text is longer than allowed."));
      } else if (pending.size >= pending_max) {
        reject(new ClientError("overloaded", "Too many messages wait for the connection."));
      } else {
        const entry = { frame, resolve, reject, posts: 0, refusals: 0 };
        pending.set(id, entry);
        post(entry);
      }
    });
  }

  function open(
    conversation: string,
    handlers: Handlers,
    fresh: boolean,
    at?: After,
  ): Subscription {
    const cursor = openCursor(at);
    const room: Room = {
      conversation,
      handlers,
      cursor,
      fresh,
      asked: null,
      attempts: 0,
      retry: null,
    };
    rooms.set(conversation, room);
    if (!fresh && link.state().name === "online") ask(room);
    return {
      conversation,
      cursor: () => cursor.after(),
      stop() {
        room.retry?.();
        if (rooms.get(conversation) !== room) return;
        rooms.delete(conversation);
        link.post({ type: "unsubscribe", id: ids(), conversation });
      },
    };
  }

  return {
    state: () => link.state(),
    send: (conversation, text, { id, ...more } = {}) =>
      command("send", conversation, { text, ...more }, id),
    cancel: (conversation, turn) =>
      command("cancel", conversation, turn === undefined ? {} : { turn }),
    regenerate: (conversation, message, { id, ...more } = {}) =>
      command("regenerate", conversation, { message, ...more }, id),
    edit: (conversation, message, text, { id, ...more } = {}) =>
      command("edit", conversation, { message, text, ...more }, id),
    subscribe: (conversation, handlers, at) => open(conversation, handlers, false, at),
    begin: (conversation, handlers) => open(conversation, handlers, true),
    watch(handlers) {
      watchers.add(handlers);
      if (watchers.size === 1) link.post({ type: "watch", id: ids() });
      return () => void watchers.delete(handlers);
    },
    wake: () => link.wake(),
    close() {
      link.close();
      for (const room of rooms.values()) room.retry?.();
      rooms.clear();
      for (const { reject } of pending.values())
        reject(new ClientError("closed", "The client was closed."));
      pending.clear();
    },
  };
}
