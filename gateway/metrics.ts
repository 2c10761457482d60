/**
 * `/metrics`, in the text format that Prometheus scrapes (0.0.4): whether a turn would work, how far the
 * log has come, and how far each read model. It names no tenant and costs two questions. What cannot
 * be known now is left out, since a scrape should not fail for a database that is away.
 */
import type { GatewayPorts } from "./ports.ts";

interface Metric {
  readonly name: string;
  readonly help: string;
  /** Value by read model; by "" where there is only one. */
  readonly values: ReadonlyMap<string, number>;
}

export const metrics_type = "text/plain; version=0.0.4; charset=utf-8";

/** Never throws. */
export async function metricsText(
  ports: Pick<GatewayPorts, "log" | "queries" | "ready" | "feed">,
): Promise<string> {
  const [ready, end, positions] = await Promise.allSettled([
    ports.ready(),
    ports.log.lastSequence(),
    ports.queries.positions(),
  ]);
  const reached = positions.status === "fulfilled" ? Object.entries(positions.value) : [];
  const known = end.status === "fulfilled" ? [end.value] : [];
  const fed = ports.feed();
  const works = ready.status === "fulfilled" && ready.value.ready;
  const metrics: Metric[] = [
    {
      name: "colloquy_ready",
      help: "1 when a turn would work, as /ready says.",
      values: new Map([["", works ? 1 : 0]]),
    },
    {
      name: "colloquy_log_sequence",
      help: "The last EVENTS sequence.",
      values: new Map(known.map((sequence) => ["", sequence])),
    },
    {
      name: "colloquy_projection_position",
      help: "The EVENTS sequence that a read model has reached.",
      values: new Map(reached),
    },
    {
      name: "colloquy_projection_lag_commits",
      help: "Commits of the log that a read model has not seen yet.",
      // Asked side by side, so a position may be ahead of the end.
      values: new Map(
        known.flatMap((last) => reached.map(([name, at]) => [name, Math.max(0, last - at)])),
      ),
    },
    {
      name: "colloquy_feed_lag_commits",
      help: "Commits of the log that the feed has not told yet; absent while nobody writes it.",
      values: new Map(
        known.flatMap((last) => (fed === null ? [] : [["", Math.max(0, last - fed)]])),
      ),
    },
  ];
  return metrics.map(textOf).join("");
}

function textOf({ name, help, values }: Metric): string {
  if (values.size === 0) return "";
  const lines = [...values].map(([model, value]) => {
    const labels = model === "" ? "" : `{read_model="${model}"}`;
    return `${name}${labels} ${value}`;
  });
  return [`# HELP ${name} ${help}`, `# TYPE ${name} gauge`, ...lines, ""].join("\n");
}
