/** The handshake of a WebSocket: who may have one at all, and what is known of it from then on. */
import type { HttpResponse, us_socket_context_t } from "uWebSockets.js";
import { AppError } from "../../schemas/errors.ts";
import { offeredBy, socketBearerOf } from "../auth/authenticate.ts";
import type { Identity } from "../auth/identity.ts";
import { type SocketLog, socketLog } from "../http/access-log.ts";
import { mayConnect } from "../http/cors.ts";
import type { Exchange } from "../http/exchange.ts";
import { retryAfter, socketRoute } from "../http/routes.ts";
import { ipOf } from "../limits/admit.ts";
import type { Share } from "../limits/buffers.ts";
import { limitedBody, rateLimitHeaders } from "../limits/gate.ts";
import type { Service } from "../service.ts";
import { type ChatStream, type ChatStreamAsked, readChatStream } from "../turns/chat-stream.ts";
import type { Session } from "./socket.ts";

export interface SocketData {
  readonly identity: Identity | Promise<Identity>;
  readonly ip: string;
  /** Null where nobody wants to know. */
  readonly log: SocketLog | null;
  /** Of all that was sent to it. */
  bytes: number;
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

const protocol = "colloquy.v1";

/**
 * Judges the credential before the socket exists: what is wrong at once is refused with an HTTP
 * problem. One that must be looked up gets its socket first, which says nothing and does nothing
 * until it is known (native-sockets.ts): upgraded after its handler, inside `cork`, the native server
 * reads the new socket as the old response and now and then closes it (uWebSockets issue 1928);
 * outside `cork` it writes a warning each time, and a client that says `Connection: close` leaves a
 * socket behind that is never closed (docs/decisions/0015-identity-at-the-gateway.md).
 */
export function upgrade(
  exchange: Exchange,
  res: HttpResponse,
  context: us_socket_context_t,
  service: Service,
  origins: readonly string[],
  retiring: () => boolean,
): void {
  exchange.route = socketRoute(exchange.path);
  const credential = socketBearerOf(exchange);
  if (retiring()) return exchange.problem("shutting_down");
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
    const { accessLog } = service.ports;
    const data: SocketData = {
      ...{ identity, ip, leave, share, session: null, early: [], stream, bytes: 0 },
      log: accessLog === null ? null : socketLog(accessLog, exchange, service),
    };
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
