/**
 * One lasting connection made of many sockets: it signs in, notices a dead socket, waits with
 * jittered exponential back-off and connects again, and renews its token before it expires.
 * It knows nothing of conversations. Time and randomness are arguments.
 */
import type { ReadyFrame, ServerFrame } from "../schemas/frames.ts";
import type { Clock } from "../schemas/ids.ts";

export type State =
  | { readonly name: "connecting" }
  | { readonly name: "online"; readonly user: string; readonly tenant: string }
  /** `retryAt` is a time of the clock, in milliseconds. */
  | { readonly name: "offline"; readonly retryAt: number }
  /** By `close()` (null), or for good: `unauthenticated`. */
  | { readonly name: "closed"; readonly code: string | null };

/** Gives the access token; `fresh` asks for a new one since the last was refused or grows old. */
export type TokenProvider = (ask: { readonly fresh: boolean }) => Promise<string> | string;

export interface LinkOptions {
  readonly url: string;
  readonly token: TokenProvider;
  readonly WebSocket?: typeof WebSocket;
  readonly clock?: Clock;
  /** Between 0 and 1. */
  readonly random?: () => number;
  readonly onState?: (state: State) => void;
}

export interface Link {
  state(): State;
  /** False when there is no socket to take it; the caller keeps what must not be lost. */
  post(frame: object): boolean;
  /** Ends the wait for the next attempt, e.g. when the browser says it is online again. */
  wake(): void;
  /** Lets go of a socket that behaves wrongly; the link connects again. */
  drop(): void;
  close(): void;
}

const backoff_first_ms = 400;
const backoff_max_ms = 15_000;
/** A socket that has not said `ready` by then is given up. */
const ready_ms = 10_000;
/** Silence after which we ask, and after which we stop believing in the socket. */
const ping_after_ms = 15_000;
const dead_after_ms = 25_000;
const renew_ahead_ms = 60_000;
const closed_unauthenticated = 4401;

export const browserClock: Clock = {
  now: () => Date.now(),
  after(ms, call) {
    const timer = setTimeout(call, ms);
    return () => clearTimeout(timer);
  },
};

export const backoff = (failures: number, random: () => number): number =>
  Math.min(backoff_max_ms, backoff_first_ms * 2 ** Math.min(failures, 10)) * (0.5 + random() / 2);

/** When a JWT expires, in milliseconds since 1970; null when it does not say. */
export function expiryOf(token: string): number | null {
  try {
    const body = (token.split(".")[1] ?? "").replaceAll("-", "+").replaceAll("_", "/");
    const claims: unknown = JSON.parse(atob(body));
    const exp =
      typeof claims === "object" && claims !== null && "exp" in claims ? claims.exp : null;
    return typeof exp === "number" ? exp * 1000 : null;
  } catch {
    return null; // an opaque token: the server's warning renews it
  }
}

export function openLink(
  options: LinkOptions,
  onReady: (ready: ReadyFrame) => void,
  onFrame: (frame: ServerFrame) => void,
): Link {
  const clock = options.clock ?? browserClock;
  const random = options.random ?? Math.random;
  const Socket = options.WebSocket ?? globalThis.WebSocket;
  let state: State = { name: "connecting" };
  let socket: WebSocket | null = null;
  let failures = 0;
  let refusals = 0;
  let heard_ms = 0;
  const timers = new Map<"retry" | "watchdog" | "renew", () => void>();

  const become = (next: State): void => {
    state = next;
    options.onState?.(next);
  };
  const stop = (name: "retry" | "watchdog" | "renew"): void => {
    timers.get(name)?.();
    timers.delete(name);
  };
  const plan = (name: "retry" | "watchdog" | "renew", ms: number, call: () => void): void => {
    stop(name);
    timers.set(name, clock.after(ms, call));
  };
  const finish = (code: string | null): void => {
    for (const name of [...timers.keys()]) stop(name);
    const last = socket;
    socket = null;
    if (state.name !== "closed") become({ name: "closed", code });
    last?.close(1000);
  };

  const lost = (): void => {
    socket = null;
    stop("watchdog");
    stop("renew");
    if (state.name === "closed") return;
    const wait_ms = backoff(failures, random);
    failures += 1;
    become({ name: "offline", retryAt: clock.now() + wait_ms });
    plan("retry", wait_ms, () => void open());
  };

  const abandon = (given: WebSocket): void => {
    if (socket !== given) return;
    given.close(); // a dead one would tell us only after minutes, so we do not wait for its event
    lost();
  };

  const renew = async (): Promise<void> => {
    const before = socket;
    try {
      const token = await options.token({ fresh: true });
      if (socket !== before || before === null) return;
      post({ type: "auth", token });
      planRenewal(token);
    } catch {
      // The socket lives until its token expires; then a new connection asks again.
    }
  };
  const planRenewal = (token: string): void => {
    const expiry = expiryOf(token);
    if (expiry === null) return;
    const left_ms = expiry - clock.now();
    // A timer's longest delay is 2^31-1 ms; a token of 25 days or more outlives the page anyway.
    const wait_ms = Math.min(Math.max(left_ms - renew_ahead_ms, left_ms / 2, 1_000), 2_000_000_000);
    plan("renew", wait_ms, () => void renew());
  };

  const watchdog = (given: WebSocket): void => {
    if (socket !== given) return;
    const silent_ms = clock.now() - heard_ms;
    const waiting = state.name !== "online";
    if (silent_ms >= (waiting ? ready_ms : dead_after_ms)) return abandon(given);
    if (!waiting && silent_ms >= ping_after_ms) post({ type: "ping" });
    plan("watchdog", 5_000, () => watchdog(given));
  };

  const hear = (given: WebSocket, token: string, data: unknown): void => {
    if (socket !== given || typeof data !== "string") return;
    heard_ms = clock.now();
    // The server's frames are what schemas/frames.ts says; it is the side we trust.
    const frame = JSON.parse(data) as ServerFrame;
    if (frame.type === "ready") {
      failures = 0;
      refusals = 0;
      planRenewal(token);
      become({ name: "online", user: frame.user, tenant: frame.tenant });
      onReady(frame);
    } else if (frame.type === "error" && frame.code === "token_expired") {
      void renew();
    } else {
      onFrame(frame);
    }
  };

  async function open(): Promise<void> {
    stop("retry");
    become({ name: "connecting" });
    let token: string;
    try {
      token = await options.token({ fresh: refusals > 0 || failures > 1 });
    } catch (error) {
      const refused = error instanceof Error && "code" in error && error.code === "unauthenticated";
      return refused ? finish("unauthenticated") : lost();
    }
    if (state.name !== "connecting") return;
    const given = new Socket(options.url, ["colloquy.v1", `bearer.${token}`]);
    socket = given;
    heard_ms = clock.now();
    given.addEventListener("message", (message: MessageEvent<unknown>) =>
      hear(given, token, message.data),
    );
    given.addEventListener("close", (event) => {
      if (socket !== given) return;
      if (event.code === closed_unauthenticated && ++refusals > 2) finish("unauthenticated");
      else lost();
    });
    given.addEventListener("error", () => undefined); // `close` follows and says it all
    watchdog(given);
  }

  function post(frame: object): boolean {
    if (socket === null || socket.readyState !== 1 || state.name !== "online") return false;
    socket.send(JSON.stringify(frame));
    return true;
  }

  void open();
  return {
    state: () => state,
    post,
    wake() {
      if (state.name === "offline") void open();
    },
    drop() {
      if (socket !== null) abandon(socket);
    },
    close: () => finish(null),
  };
}
