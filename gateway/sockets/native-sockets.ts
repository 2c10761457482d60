/**
 * WebSockets as the native server has them: each callback reaches the session of its socket, or the
 * little that there is before the credential is known. It decides nothing; socket.ts does.
 */
import type { HttpRequest, HttpResponse, WebSocket, WebSocketBehavior } from "uWebSockets.js";
import { AppError, type ErrorCode, errorBody, errors } from "../../schemas/errors.ts";
import { limits } from "../../schemas/limits.ts";
import type { Identity } from "../auth/identity.ts";
import type { Exchange } from "../http/exchange.ts";
import { callerOf, type Service } from "../service.ts";
import { ChatStream } from "../turns/chat-stream.ts";
import { type SocketData, upgrade } from "./handshake.ts";
import { Session, type Wire } from "./socket.ts";

export type Socket = WebSocket<SocketData>;

/** Every open socket is in `sockets` from its beginning to its end. */
export function socketBehavior(parts: {
  readonly service: Service;
  readonly origins: readonly string[];
  readonly sockets: Set<Socket>;
  readonly exchangeOf: (res: HttpResponse, req: HttpRequest) => Exchange;
  /** No socket begins any more. */
  readonly retiring: () => boolean;
  /** Those that are still waiting for their credential end, too. */
  readonly stopping: () => boolean;
}): WebSocketBehavior<SocketData> {
  const { service, origins, sockets, exchangeOf, retiring, stopping } = parts;
  return {
    maxPayloadLength: limits.frame_gathered_bytes_max,
    maxBackpressure: limits.socket_buffer_bytes_max,
    idleTimeout: limits.socket_idle_s,
    sendPingsAutomatically: true,
    upgrade: (res, req, context) =>
      upgrade(exchangeOf(res, req), res, context, service, origins, retiring),
    open(ws) {
      sockets.add(ws);
      const data = ws.getUserData();
      const begin = (identity: Identity): void => {
        if (!sockets.has(ws)) return;
        data.log?.opened(identity);
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
        if (stopping()) return session.fail("shutting_down");
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
    ping(ws, message) {
      // The server has answered by itself; whoever does not read that is no better than who asks so.
      const { share } = ws.getUserData();
      share.is(ws.getBufferedAmount());
      if (!share.answered(message.byteLength)) fail(ws, "slow_consumer");
    },
    drain(ws) {
      const data = ws.getUserData();
      data.share.is(ws.getBufferedAmount());
      if (!data.share.drained) return;
      // Not from within this call: of what is written here and not taken whole, uWebSockets.js may
      // never tell that it was, nor go on with it (seen, 20.51), and who reads would wait for ever.
      setImmediate(() => data.session?.drained());
    },
    close(ws, code) {
      sockets.delete(ws);
      const data = ws.getUserData();
      for (const leave of data.leave.splice(0)) leave();
      data.session?.closed();
      data.session = null;
      // Last: its cursors have counted themselves off.
      data.share.end();
      data.log?.closed(code, data.bytes);
    },
  };
}

/** Tells a socket why, then closes it; also one whose credential is not known yet. */
export function fail(ws: Socket, code: ErrorCode): void {
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
    send(frame) {
      const text = JSON.stringify(frame);
      data.bytes += Buffer.byteLength(text);
      sent(ws.send(text, false));
    },
    answer(frame) {
      const text = JSON.stringify(frame);
      data.bytes += Buffer.byteLength(text);
      sent(ws.send(text, false));
      if (!share.answered(text.length)) fail();
    },
    sendBytes(bytes) {
      data.bytes += bytes.byteLength;
      sent(ws.send(bytes, false));
    },
    cork: (call) => void ws.cork(call),
    lagging: (change) => share.lagging(change),
    close: (code, reason) => ws.end(code, reason),
  };
}
