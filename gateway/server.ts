/**
 * The gateway's socket: HTTP and WebSocket on uWebSockets.js. This file joins the native server to
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
} from "uWebSockets.js";
import { keptAnswer } from "../cache/kept-answer.ts";
import { AppError } from "../schemas/errors.ts";
import type { Readiness } from "../schemas/http.ts";
import { limits } from "../schemas/limits.ts";
import { type CertificateFiles, followCertificate, judgeCertificate } from "./http/certificate.ts";
import { logRequest } from "./http/access-log.ts";
import { Exchange } from "./http/exchange.ts";
import { handle } from "./http/routes.ts";
import { Bodies } from "./limits/bodies.ts";
import type { GatewayPorts } from "./ports.ts";
import { openService } from "./service.ts";
import type { SocketData } from "./sockets/handshake.ts";
import { fail, type Socket, socketBehavior } from "./sockets/native-sockets.ts";

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

  const parts = { ...ports, bodies: new Bodies(service.addressOf) };
  const exchangeOf = (res: HttpResponse, req: HttpRequest): Exchange => {
    const exchange = new Exchange(res, req, parts);
    exchange.last = retiring;
    if (ports.accessLog !== null) logRequest(ports.accessLog, exchange, service);
    if (options.tls !== undefined) {
      exchange.common["Strict-Transport-Security"] = strict_transport;
    }
    return exchange;
  };
  const behavior = socketBehavior({
    ...{ service, sockets, exchangeOf, origins: options.corsOrigins },
    retiring: () => retiring,
    stopping: () => stopping,
  });
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
