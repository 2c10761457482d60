/**
 * The gateway's socket: HTTP and `/ws/chat` on uWebSockets.js. This file joins the native server to
 * sessions and routes, and knows how it begins and ends; it decides nothing else.
 */
import {
  App,
  type HttpRequest,
  type HttpResponse,
  SSLApp,
  type TemplatedApp,
  type us_listen_socket,
  us_listen_socket_close,
  us_socket_local_port,
  type WebSocket,
  type WebSocketBehavior,
  type us_socket_context_t,
} from "uWebSockets.js";
import { keptAnswer } from "../cache/kept-answer.ts";
import { AppError, type ErrorCode, errorBody, errors } from "../schemas/errors.ts";
import type { Readiness } from "../schemas/http.ts";
import { limits } from "../schemas/limits.ts";
import { offeredBy, socketBearerOf } from "./auth/authenticate.ts";
import type { Identity } from "./auth/identity.ts";
import { type CertificateFiles, followCertificate, judgeCertificate } from "./http/certificate.ts";
import { mayConnect } from "./http/cors.ts";
import { ChatStream, type ChatStreamAsked, readChatStream } from "./turns/chat-stream.ts";
import { Exchange } from "./http/exchange.ts";
import { ipOf } from "./limits/admit.ts";
import type { Share } from "./limits/buffers.ts";
import { limitedBody, rateLimitHeaders } from "./limits/gate.ts";
import type { GatewayPorts } from "./ports.ts";
import { handle, retryAfter } from "./http/routes.ts";
import { callerOf, openService, type Service } from "./service.ts";
import { Session, type Wire } from "./sockets/socket.ts";

export interface Gateway {
  readonly url: string;
  readonly port: number;
  /** Serves new connections with what the certificate's files hold now. Throws `unavailable`. */
  reload(): void;
  /** Before `stop`: `/ready` says no, no socket begins, and connections end behind their answers. */
  retire(): void;
  /** Takes no more, tells every socket, and is gone after at most `drain_ms`. */
  stop(drain_ms: number): Promise<void>;
}

export interface GatewayOptions {
  readonly host: string;
  /** 0 takes a free one. */
  readonly port: number;
  /** Pages of these origins may talk to it, beside its own. */
  readonly corsOrigins: readonly string[];
  /** Serves https and wss when there. */
  readonly tls?: CertificateFiles;
}

interface SocketData {
  readonly identity: Identity | Promise<Identity>;
  readonly ip: string;
  /** Gives its places among the open sockets back. */
  readonly leave: (() => void)[];
  readonly share: Share;
  /** Null until the credential is known, and after the end. */
  session: Session | ChatStream | null;
  /** What the client said before. */
  readonly early: string[];
  /** There for `/chat/stream/{id}`. */
  readonly stream: ChatStreamAsked | null;
}
type Socket = WebSocket<SocketData>;

/** Above our own limit, so that an oversized frame is refused with a close code, not cut off. */
const native_frame_bytes_max = 2 * 1024 * 1024;
const protocol = "colloquy.v1";
/** Browsers come by TLS only, for a year (RFC 6797). */
const strict_transport = "max-age=31536000";
const stopped_readiness: Readiness = {
  ready: false,
  checks: [{ name: "gateway", ok: false, detail: "It is stopping." }],
};
/** `LIBUS_LISTEN_EXCLUSIVE_PORT`. */
const exclusive_port = 1;
/** `LIBUS_LISTEN_DEFAULT`. */
const shared_port = 0;

export async function startGateway(ports: GatewayPorts, options: GatewayOptions): Promise<Gateway> {
  let retiring = false;
  const ready = keptAnswer(
    ports.clock,
    () => limits.probe_kept_ms,
    () => ports.ready(),
  );
  const service = openService({
    ...ports,
    ready: async () => (retiring ? stopped_readiness : ready()),
  });
  const apps: TemplatedApp[] = [];
  const sockets = new Set<Socket>();
  const exchanges = new Set<Exchange>();
  let stopping = false;

  const exchangeOf = (res: HttpResponse, req: HttpRequest): Exchange => {
    const exchange = new Exchange(res, req, ports.clock, ports.ids);
    exchange.last = retiring;
    if (options.tls !== undefined) {
      exchange.common["Strict-Transport-Security"] = strict_transport;
    }
    return exchange;
  };
  const behavior: WebSocketBehavior<SocketData> = {
    maxPayloadLength: native_frame_bytes_max,
    maxBackpressure: limits.socket_buffer_bytes_max,
    idleTimeout: limits.socket_idle_s,
    sendPingsAutomatically: true,
    upgrade: (res, req, context) =>
      upgrade(exchangeOf(res, req), res, context, service, options.corsOrigins, () => retiring),
    open(ws) {
      sockets.add(ws);
      const data = ws.getUserData();
      const begin = (identity: Identity): void => {
        if (!sockets.has(ws)) return;
        const caller = callerOf(identity, data.ip);
        const place = service.gate.enter(caller).admitted
          ? service.connections.enterUser(caller)
          : null;
        if (place === null) return fail(ws, "too_many_connections");
        data.leave.push(place);
        const wire = wireOf(ws, data);
        const session = (data.session =
          data.stream === null
            ? new Session(service, wire, identity, caller)
            : new ChatStream(service, wire, identity, data.stream));
        if (stopping) return session.fail("shutting_down");
        session.open();
        for (const text of data.early.splice(0)) session.text(text);
      };
      if (!(data.identity instanceof Promise)) return begin(data.identity);
      data.identity.then(begin, (error: unknown) => {
        if (sockets.has(ws)) fail(ws, error instanceof AppError ? error.code : "internal");
      });
    },
    message(ws, message, isBinary) {
      const { session, early } = ws.getUserData();
      if (isBinary) return fail(ws, "binary_frame");
      if (message.byteLength > limits.frame_bytes_max) return fail(ws, "too_large");
      const text = Buffer.from(message).toString("utf8");
      if (session !== null) return session.text(text);
      if (early.length >= limits.frames_unready_max) return fail(ws, "overloaded");
      early.push(text);
    },
    drain(ws) {
      const { share, session } = ws.getUserData();
      share.is(ws.getBufferedAmount());
      session?.drained();
    },
    close(ws) {
      sockets.delete(ws);
      const data = ws.getUserData();
      for (const leave of data.leave.splice(0)) leave();
      data.share.end();
      data.session?.closed();
      data.session = null;
    },
  };
  const request = (res: HttpResponse, req: HttpRequest): void => {
    const exchange = exchangeOf(res, req);
    if (stopping) return exchange.problem("shutting_down", undefined, { "Retry-After": "1" });
    exchanges.add(exchange);
    void handle(exchange, service, options.corsOrigins).finally(() => exchanges.delete(exchange));
  };
  /** Throws `unavailable` for a certificate that cannot be used. */
  const build = (): TemplatedApp => {
    const { tls } = options;
    if (tls !== undefined) judgeCertificate(tls, ports.clock.now());
    const app =
      tls === undefined ? App() : SSLApp({ cert_file_name: tls.cert, key_file_name: tls.key });
    apps.push(app);
    return app
      .ws<SocketData>("/ws/chat", behavior)
      .ws<SocketData>("/chat/stream/:id", behavior)
      .any("/*", request);
  };

  await service.ready.catch((error: unknown) => {
    service.stop();
    throw error;
  });
  const listen = (app: TemplatedApp, at: number, option: number): us_listen_socket => {
    let listening: us_listen_socket | false = false;
    const listened = (socket: us_listen_socket | false): void => void (listening = socket);
    // With the exclusive one, two gateways cannot share a port without a word. The server takes it
    // together with a host, and calls back before it returns; its types only lack that form.
    Reflect.apply(app.listen, app, [options.host, at, option, listened]);
    if (listening !== false) return listening;
    const why = "taken by another program, or cannot be listened on";
    const where = `${options.host}:${at}`;
    throw new AppError("unavailable", `${where} is ${why}; set COLLOQUY_PORT to another port.`);
  };
  let listening: us_listen_socket;
  try {
    const app = build();
    listening = listen(app, options.port, exclusive_port);
    if (options.tls !== undefined) {
      // Nobody else has the port. From now on it is shared, so that one with a renewed certificate can
      // listen before the old one stops.
      const port = us_socket_local_port(listening);
      us_listen_socket_close(listening);
      listening = listen(app, port, shared_port);
    }
  } catch (error) {
    service.stop();
    throw error;
  }
  const port = us_socket_local_port(listening);
  const reload = (): void => {
    if (options.tls === undefined || stopping) return;
    const app = build();
    const renewed = listen(app, port, shared_port);
    // The old one goes on with the connections that it has, and takes no more.
    us_listen_socket_close(listening);
    listening = renewed;
  };
  const unfollow =
    options.tls === undefined
      ? () => {}
      : followCertificate(options.tls, ports.clock, () => {
          try {
            reload();
          } catch (error) {
            ports.report({ what: "a renewed certificate cannot be used", error });
          }
        });

  const until = (ms: number, done: () => boolean): Promise<void> =>
    new Promise((resolve) => {
      const end = ports.clock.now() + ms;
      const look = (): void => {
        if (done() || ports.clock.now() >= end) resolve();
        else ports.clock.after(10, look);
      };
      look();
    });

  const scheme = options.tls === undefined ? "http" : "https";
  return {
    url: `${scheme}://${options.host.includes(":") ? `[${options.host}]` : options.host}:${port}`,
    port,
    reload,
    retire() {
      retiring = true;
    },
    async stop(drain_ms) {
      if (stopping) return;
      retiring = stopping = true;
      unfollow();
      us_listen_socket_close(listening);
      for (const stream of service.streams) stream.fail("shutting_down");
      await until(drain_ms / 2, () => exchanges.size === 0 && service.commands.inFlight === 0);
      for (const ws of sockets) fail(ws, "shutting_down");
      await until(drain_ms / 2, () => sockets.size === 0 && exchanges.size === 0);
      for (const app of apps) app.close();
      service.stop();
    },
  };
}

/**
 * Judges the credential before the socket exists: what is wrong at once is refused with an HTTP
 * problem. One that must be looked up gets its socket first, which says nothing and does nothing
 * until it is known (gateway/sockets/socket.ts): upgraded after its handler, inside `cork`, the native server
 * reads the new socket as the old response and now and then closes it (uWebSockets issue 1928);
 * outside `cork` it writes a warning each time, and a client that says `Connection: close` leaves a
 * socket behind that is never closed (docs/decisions/0015-identity-at-the-gateway.md).
 */
function upgrade(
  exchange: Exchange,
  res: HttpResponse,
  context: us_socket_context_t,
  service: Service,
  origins: readonly string[],
  stopping: () => boolean,
): void {
  const credential = socketBearerOf(exchange);
  if (stopping()) return exchange.problem("shutting_down");
  if (!mayConnect(exchange, origins)) return exchange.problem("origin_refused");
  const ip = ipOf(exchange, service);
  const admission = service.gate.arrive(ip);
  if (!admission.admitted) {
    const headers = { ...rateLimitHeaders(admission), "Retry-After": `${admission.retry_s}` };
    return exchange.problem("rate_limited", limitedBody(admission).message, headers);
  }
  try {
    const { path, query } = exchange;
    const stream = path === "/ws/chat" ? null : readChatStream(path, query);
    const identity = service.authenticate(credential, ip);
    if (identity instanceof Promise) identity.catch(() => undefined);
    const place = service.connections.enterIp(ip);
    if (place === null) {
      return exchange.problem("too_many_connections", undefined, { "Retry-After": "10" });
    }
    exchange.upgraded();
    const share = service.buffers.open();
    const leave = [place];
    const data: SocketData = { identity, ip, leave, share, session: null, early: [], stream };
    res.upgrade(
      data,
      exchange.header("sec-websocket-key"),
      offeredBy(exchange).includes(protocol) ? protocol : "",
      exchange.header("sec-websocket-extensions"),
      context,
    );
  } catch (error) {
    if (!(error instanceof AppError)) return exchange.problem("internal");
    exchange.problem(error.code, error.message, retryAfter(error));
  }
}

/** Tells a socket why, then closes it; also one whose credential is not known yet. */
function fail(ws: Socket, code: ErrorCode): void {
  const { session } = ws.getUserData();
  if (session !== null) return session.fail(code);
  ws.send(JSON.stringify({ type: "error", ...errorBody(code) }), false);
  ws.end(errors[code].close ?? 1011, code);
}

function wireOf(ws: Socket, data: SocketData): Wire {
  const { share } = data;
  const fail = (): void => queueMicrotask(() => data.session?.fail("slow_consumer"));
  const sent = (status: number): void => {
    // Dropped: what is pushed stops at the watermark, so this is a frame larger than all.
    if (status === 2) fail();
    share.is(ws.getBufferedAmount());
  };
  return {
    writable() {
      share.is(ws.getBufferedAmount());
      return share.writable;
    },
    send: (frame) => sent(ws.send(JSON.stringify(frame), false)),
    answer(frame) {
      const text = JSON.stringify(frame);
      sent(ws.send(text, false));
      if (!share.answered(text.length)) fail();
    },
    sendBytes: (bytes) => sent(ws.send(bytes, false)),
    cork: (call) => void ws.cork(call),
    lagging: (change) => share.lagging(change),
    close: (code, reason) => ws.end(code, reason),
  };
}
