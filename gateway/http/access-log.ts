/**
 * The access log: one line of JSON for each request at its end, and for each WebSocket at its beginning
 * and its end. A line says who asked for what and how it went, never what was said: the path is the
 * operation's template, without ids and query. What a stranger chose (the user agent) is bounded and
 * printable, and JSON keeps a line one line, so that nobody forges another.
 */
import { limits } from "../../schemas/limits.ts";
import type { Identity } from "../auth/identity.ts";
import { ipOf } from "../limits/admit.ts";
import type { AccessLog } from "../ports.ts";
import type { Service } from "../service.ts";
import type { Exchange } from "./exchange.ts";

type Logging = Pick<Service, "addressOf"> & { readonly ports: Pick<Service["ports"], "clock"> };

const methods = new Set(["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"]);

const agentOf = (exchange: Exchange): string | null =>
  exchange
    .header("user-agent")
    .slice(0, limits.user_agent_chars_max)
    .replaceAll(/[^\x20-\x7e]/g, "?") || null;

/** What is the same in all lines about a request or a socket. */
const about = (exchange: Exchange, service: Logging, who: Identity | null) => ({
  tenant: who?.tenant ?? null,
  user: who?.user ?? null,
  request_id: exchange.traceId,
  ip: ipOf(exchange, service),
  user_agent: agentOf(exchange),
});

const timeOf = ({ ports }: Logging): string => new Date(ports.clock.now()).toISOString();

/** Has the end of a request written down. Status 499: its client went before there was an answer. */
export function logRequest(log: AccessLog, exchange: Exchange, service: Logging): void {
  const began_ms = service.ports.clock.now();
  exchange.onEnd(({ status, bytes, first_byte_at_ms: first, aborted }) => {
    const line = {
      ...{ time: timeOf(service), event: "request" },
      method: methods.has(exchange.method) ? exchange.method : "?",
      ...{ route: exchange.route, status, latency_ms: service.ports.clock.now() - began_ms },
      first_byte_ms: first === null ? null : first - began_ms,
      ...{ bytes, aborted, ...about(exchange, service, exchange.who) },
    };
    log.write(JSON.stringify(line));
  });
}

/** What is written down about one socket. */
export interface SocketLog {
  opened(who: Identity): void;
  /** `code` is that of the close, `bytes` were sent to it. */
  closed(code: number, bytes: number): void;
}

/** The request may be gone when the socket ends, so what is said of it is taken now. */
export function socketLog(log: AccessLog, exchange: Exchange, service: Logging): SocketLog {
  const began_ms = service.ports.clock.now();
  const { route } = exchange;
  const known = about(exchange, service, null);
  let who: Pick<Identity, "tenant" | "user"> | null = null;
  const write = (event: string, more: object): void => {
    const line = { time: timeOf(service), event, route, ...more, ...known };
    log.write(JSON.stringify({ ...line, tenant: who?.tenant ?? null, user: who?.user ?? null }));
  };
  return {
    opened({ tenant, user }) {
      who = { tenant, user };
      write("socket.opened", {});
    },
    closed(code, bytes) {
      write("socket.closed", { code, latency_ms: service.ports.clock.now() - began_ms, bytes });
    },
  };
}
