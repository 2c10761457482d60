/**
 * One connection to NATS with its JetStream clients. It reconnects for ever by itself; whatever was
 * in flight when the link broke is lost by the client without a word (its outbound buffer is
 * dropped on every dial), so `tracked` turns that silence into an error at once.
 */
import {
  type JetStreamClient,
  type JetStreamManager,
  jetstream,
  jetstreamManager,
} from "@nats-io/jetstream";
import {
  type ConnectionOptions,
  connect,
  type NatsConnection,
  wsconnect,
} from "@nats-io/transport-node";
import { AppError } from "../schemas/errors.ts";
import { limits } from "../schemas/limits.ts";

export interface Streams {
  readonly nc: NatsConnection;
  readonly js: JetStreamClient;
  readonly jsm: JetStreamManager;
  /** Calls back when the link broke, and when it is back; the result ends it. */
  onLink(call: (up: boolean) => void): () => void;
  /** The promise, or a `LinkLost` as soon as the connection was made anew in the meantime. */
  tracked<T>(request: Promise<T>): Promise<T>;
  /** Sends what is buffered and ends; safe to call twice and while the server is away. */
  close(): Promise<void>;
}

/** The link broke under a request: nobody knows whether it arrived. */
export class LinkLost extends Error {
  constructor() {
    super("the connection to NATS was made anew; the request may be lost");
    this.name = "LinkLost";
  }
}

/** Pongs are sent by the server's network loop: neither its disk nor its load delays them. */
const ping_ms = 3_000;
/** What a close may take before the socket is dropped. */
const close_ms = 1_000;

/**
 * Connects; `url` may be a list separated by commas, and hold `user:password@`. Throws
 * `AppError("unavailable")` when no server answers, refuses us, or has no JetStream.
 */
export async function connectStreams(options: {
  url: string;
  name: string;
  user?: string;
  pass?: string;
}): Promise<Streams> {
  const { servers, shown, websocket, ...found } = parseUrls(options.url);
  const user = options.user ?? found.user;
  const pass = options.pass ?? found.pass;
  const settings: ConnectionOptions = {
    servers,
    name: options.name,
    // Stack traces made ahead of every request halve the rate of appends (measured).
    noAsyncTraces: true,
    maxReconnectAttempts: -1,
    reconnectTimeWait: 200,
    reconnectJitter: 50,
    reconnectJitterTLS: 100,
    timeout: limits.append_timeout_ms,
    // A node that is suspended, or a way that swallows everything, is left after two lost pings.
    pingInterval: ping_ms,
    maxPingOut: 2,
    ...(user === undefined ? {} : { user, pass: pass ?? "" }),
  };
  const nc = await (websocket ? wsconnect(settings) : connect(settings)).catch((cause: unknown) => {
    throw new AppError("unavailable", `NATS at ${shown} is not reachable: ${reason(cause)}.`, {
      cause,
    });
  });
  try {
    const manager = await jetstreamManager(nc, { timeout: limits.append_timeout_ms });
    return streamsOf(nc, jetstream(nc, { timeout: limits.append_timeout_ms }), manager);
  } catch (cause) {
    await nc.close();
    throw new AppError(
      "unavailable",
      `NATS at ${shown} has no JetStream for us: ${reason(cause)}.`,
      { cause },
    );
  }
}

const reason = (error: unknown): string => (error instanceof Error ? error.message : String(error));

function streamsOf(nc: NatsConnection, js: JetStreamClient, jsm: JetStreamManager): Streams {
  const calls = new Set<(up: boolean) => void>();
  const inFlight = new Set<(lost: LinkLost) => void>();
  const listen = async (): Promise<void> => {
    for await (const { type } of nc.status()) {
      if (type === "reconnect") {
        const lost = new LinkLost();
        for (const reject of [...inFlight]) reject(lost);
      }
      if (type === "disconnect" || type === "reconnect") {
        for (const call of [...calls]) call(type === "reconnect");
      }
    }
  };
  void listen();

  const close = async (): Promise<void> => {
    if (nc.isClosed()) return;
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise<void>((resolve) => {
      timer = setTimeout(resolve, close_ms);
    });
    // A drain waits for the server; one that is away must not keep us from ending.
    await Promise.race([nc.isDraining() ? nc.closed() : nc.drain().catch(() => undefined), late]);
    clearTimeout(timer);
    await nc.close();
  };
  return {
    nc,
    js,
    jsm,
    close,
    onLink(call) {
      calls.add(call);
      return () => calls.delete(call);
    },
    tracked(request) {
      return new Promise((resolve, reject) => {
        inFlight.add(reject);
        request.then(
          (value) => {
            inFlight.delete(reject);
            resolve(value);
          },
          (error: unknown) => {
            inFlight.delete(reject);
            reject(error);
          },
        );
      });
    },
  };
}

interface Parsed {
  readonly servers: string[];
  /** Without the password, for sentences. */
  readonly shown: string;
  readonly websocket: boolean;
  readonly user?: string;
  readonly pass?: string;
}

/** The client does not read user and password from a URL, so they are taken out here. */
function parseUrls(text: string): Parsed {
  const urls = text
    .split(",")
    .map((part) => part.trim())
    .filter((part) => part !== "");
  const parsed = urls.map((url) => {
    const full = url.includes("://") ? url : `nats://${url}`;
    if (!URL.canParse(full)) throw new AppError("unavailable", "The NATS URL is not a URL.");
    return new URL(full);
  });
  const first = parsed[0];
  if (first === undefined) throw new AppError("unavailable", "The NATS URL is empty.");
  const websocket = first.protocol === "ws:" || first.protocol === "wss:";
  // The client takes `ws://host` whole, but of other schemes only what it knows: nats and tls.
  const servers = parsed.map(
    (url) => `${url.protocol}//${url.host}${websocket ? url.pathname : ""}`,
  );
  const login =
    first.username === ""
      ? {}
      : {
          user: decodeURIComponent(first.username),
          pass: decodeURIComponent(first.password),
        };
  return { servers, shown: parsed.map((url) => url.host).join(", "), websocket, ...login };
}
