/**
 * `/metrics`, in the text format that Prometheus scrapes (0.0.4): whether a turn would work, how far the
 * log has come, and how far each read model. It names no tenant, and what others must be asked is
 * asked once for all who scrape within a moment. What cannot be known now is left out, since a scrape
 * should not fail for a database that is away.
 */
import type { GatewayPorts } from "./ports.ts";
import type { Service } from "./service.ts";

interface Metric {
  readonly name: string;
  readonly help: string;
  readonly type?: "counter";
  /** Value by its labels, `name="value"` with commas; by "" where there is only one. */
  readonly values: ReadonlyMap<string, number>;
}

export const metrics_type = "text/plain; version=0.0.4; charset=utf-8";

type MetricsOf = Pick<
  Service,
  "ports" | "progress" | "gate" | "connections" | "buffers" | "commands" | "rooms" | "streams"
>;

/** What the servers say; empty where one says nothing. */
export interface Progress {
  /** The last EVENTS sequence. */
  readonly end: readonly [] | readonly [number];
  /** Read models and the EVENTS sequences that they have reached. */
  readonly reached: readonly (readonly [string, number])[];
}

/** Never throws. */
export async function progressOf({
  log,
  queries,
}: Pick<GatewayPorts, "log" | "queries">): Promise<Progress> {
  const [end, positions] = await Promise.allSettled([log.lastSequence(), queries.positions()]);
  return {
    end: end.status === "fulfilled" ? [end.value] : [],
    reached: positions.status === "fulfilled" ? Object.entries(positions.value) : [],
  };
}

/** Never throws. */
export async function metricsText(service: MetricsOf): Promise<string> {
  const { ports } = service;
  const [ready, { end: known, reached }] = await Promise.all([
    ports.ready().catch(() => null),
    service.progress(),
  ]);
  const fed = ports.feed();
  const metrics: Metric[] = [
    {
      name: "colloquy_ready",
      help: "1 when a turn would work, as /ready says.",
      values: new Map([["", ready?.ready === true ? 1 : 0]]),
    },
    {
      name: "colloquy_log_sequence",
      help: "The last EVENTS sequence.",
      values: new Map(known.map((sequence) => ["", sequence])),
    },
    {
      name: "colloquy_projection_position",
      help: "The EVENTS sequence that a read model has reached.",
      values: new Map(reached.map(([name, at]) => [labelOf(name), at])),
    },
    {
      name: "colloquy_projection_lag_commits",
      help: "Commits of the log that a read model has not seen yet.",
      // Asked side by side, so a position may be ahead of the end.
      values: new Map(
        known.flatMap((last) =>
          reached.map(([name, at]) => [labelOf(name), Math.max(0, last - at)]),
        ),
      ),
    },
    {
      name: "colloquy_feed_lag_commits",
      help: "Commits of the log that the feed has not told yet; absent while nobody writes it.",
      values: new Map(
        known.flatMap((last) => (fed === null ? [] : [["", Math.max(0, last - fed)]])),
      ),
    },
    ...limitMetrics(service),
  ];
  return metrics.map(textOf).join("");
}

const labelOf = (model: string): string => `read_model="${model}"`;

/** What the limits of this gateway do. */
function limitMetrics(service: MetricsOf): Metric[] {
  const { gate, connections, buffers, commands, ports, rooms, streams } = service;
  const refused = [...gate.refused].map(([name, count]): [string, number] => {
    const [cls = "", scope = ""] = name.split(" ");
    return [`class="${cls}",by="${scope}"`, count];
  });
  const { shared, falls } = ports.limiter;
  return [
    {
      name: "colloquy_limited_total",
      help: "Requests and frames that a rate limit refused.",
      type: "counter",
      values: new Map(refused),
    },
    {
      name: "colloquy_limits_shared",
      help: "1 while Redis counts the limits for all processes, 0 while this one counts alone.",
      values: new Map([["", shared === true ? 1 : 0]]),
    },
    {
      name: "colloquy_limits_fallbacks_total",
      help: "How often Redis did not answer, so that this process counted alone.",
      type: "counter",
      values: new Map([["", falls ?? 0]]),
    },
    {
      name: "colloquy_sockets",
      help: "Open WebSockets, and answers that stream over HTTP.",
      values: new Map([["", connections.open]]),
    },
    {
      name: "colloquy_streams",
      help: "Open streams over HTTP.",
      values: new Map([["", streams.size]]),
    },
    {
      name: "colloquy_rooms",
      help: "Conversations that this gateway follows for whoever reads or writes in them.",
      values: new Map([["", rooms.size]]),
    },
    {
      name: "colloquy_cursors_lagging",
      help: "Subscriptions whose socket does not read as fast as there is to be told.",
      values: new Map([["", buffers.laggingCursors]]),
    },
    {
      name: "colloquy_socket_buffer_bytes",
      help: "What lies unread in the buffers of all WebSockets and streams.",
      values: new Map([["", buffers.bytes]]),
    },
    {
      name: "colloquy_commands_in_flight",
      help: "Commands that are not answered yet.",
      values: new Map([["", commands.inFlight]]),
    },
    {
      name: "colloquy_commands_waiting",
      help: "Of these, those that wait for their tenant's turn.",
      values: new Map([["", commands.waiting]]),
    },
    {
      name: "colloquy_access_log_dropped_total",
      help: "Lines of the access log that were dropped, since nobody took those before them.",
      type: "counter",
      values: new Map(ports.accessLog === null ? [] : [["", ports.accessLog.dropped()]]),
    },
  ];
}

function textOf({ name, help, type, values }: Metric): string {
  if (values.size === 0) return "";
  const lines = [...values].map(([labels, value]) =>
    labels === "" ? `${name} ${value}` : `${name}{${labels}} ${value}`,
  );
  return [`# HELP ${name} ${help}`, `# TYPE ${name} ${type ?? "gauge"}`, ...lines, ""].join("\n");
}
