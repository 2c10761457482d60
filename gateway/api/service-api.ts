/** What programs that watch over the service ask, and the sign-in of an embedded page. */
import { Health, LocalSignIn, MetricsText, Readiness } from "../../schemas/http.ts";
import { bearerOf, refusedAt } from "../auth/authenticate.ts";
import { hashOfSecret, isHashOf } from "../auth/secrets.ts";
import { localSignIn } from "../auth/local-sign-in.ts";
import { metrics_type, metricsText } from "../metrics.ts";
import { ipOf } from "../limits/admit.ts";
import { type Operation, publicOperation } from "../http/operation.ts";

const health = (path: "/health" | "/healthz", id: string): Operation =>
  publicOperation({
    id,
    method: "GET",
    path,
    tag: "service",
    access: "public",
    limit: "none",
    summary: "The process answers; it says nothing of the parts behind it.",
    answers: { 200: Health },
    run: async () => ({ value: { status: "ok" }, sequence: 0 }),
  });

export const operations: readonly Operation[] = [
  health("/health", "health"),
  health("/healthz", "healthz"),
  publicOperation({
    id: "ready",
    method: "GET",
    path: "/ready",
    tag: "service",
    access: "public",
    limit: "none",
    summary: "200 exactly when a turn would work.",
    answers: { 200: Readiness, 503: Readiness },
    async run({ service }) {
      const value = await service.ports.ready();
      return { value, sequence: 0, status: value.ready ? 200 : 503 };
    },
  }),
  publicOperation({
    id: "metrics",
    method: "GET",
    path: "/metrics",
    tag: "service",
    access: "public",
    limit: "none",
    summary: "Figures in the text format that Prometheus scrapes.",
    answers: { 200: MetricsText },
    media: metrics_type,
    refuses: ["unauthenticated", "rate_limited"],
    async run({ service }, exchange) {
      const { metricsToken: wished } = service.ports;
      const brought = bearerOf(exchange) ?? "";
      if (wished !== null && !isHashOf(brought, hashOfSecret(wished))) {
        // A guess costs what every other refused credential does.
        throw refusedAt(service.gate, ipOf(exchange, service));
      }
      const headers = { "Cache-Control": "no-store" };
      return { value: Buffer.from(await metricsText(service)), sequence: 0, headers };
    },
  }),
  publicOperation({
    id: "localSignIn",
    method: "POST",
    path: "/api/v1/auth/local",
    tag: "auth",
    access: "public",
    limit: "sign-in",
    summary: "Signs the visitor of an embedded installation's own page in, on loopback only.",
    answers: { 200: LocalSignIn },
    refuses: ["not_found"],
    run: async ({ service }, exchange) => ({
      value: localSignIn(exchange, service.ports),
      sequence: 0,
    }),
  }),
];
