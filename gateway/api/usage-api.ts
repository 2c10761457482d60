/** `GET /api/v1/usage`, and the models that there are to be used: `GET /api/v1/models`. */
import { AppError } from "../../schemas/errors.ts";
import { limits } from "../../schemas/limits.ts";
import { isAtLeast } from "../../schemas/permissions.ts";
import { timeOf } from "../../schemas/times.ts";
import { ModelList, UsageList, UsageQuery } from "../../schemas/usage.ts";
import { type Call, limitOf, oneOf, read, type Shown } from "../http/call.ts";
import { type Operation, operation } from "../http/operation.ts";

const time = "a day or a time with its zone, like 2026-11-21T05:00:00Z";
const name = (text: string): string | null =>
  text !== "" && text.length <= limits.model_chars_max ? text : null;

/** Throws `forbidden`, `bad_request`, `bad_cursor`, `stale`. */
async function readUsage({ who, query, service, min_seq }: Call): Promise<Shown<UsageList>> {
  const whose = oneOf(query, "of", ["me", "tenant"]) ?? "me";
  if (whose === "tenant" && !isAtLeast(who.role, "admin")) throw new AppError("forbidden");
  const cursor = query.get("cursor");
  const value = await service.ports.queries.usage({
    tenant: who.tenant,
    owner: whose === "me" ? who.user : null,
    model: read(query, "model", name, `a name of 1 to ${limits.model_chars_max} characters`),
    from: read(query, "from", timeOf, time),
    to: read(query, "to", timeOf, time),
    limit: limitOf(query),
    ...(cursor === null ? {} : { cursor }),
    ...(min_seq === 0 ? {} : { minSeq: min_seq }),
  });
  return { value, sequence: min_seq };
}

export const operations: readonly Operation[] = [
  operation({
    id: "readUsage",
    method: "GET",
    path: "/api/v1/usage",
    summary: "Tokens and cost by day and model: one's own, or the tenant's.",
    tag: "usage",
    access: "usage.read",
    limit: "read",
    query: UsageQuery,
    answers: { 200: UsageList },
    refuses: ["bad_cursor", "stale"],
    run: (call) => readUsage(call),
  }),
  operation({
    id: "listUsableModels",
    method: "GET",
    path: "/api/v1/models",
    summary: "The models that a message may ask for.",
    tag: "models",
    access: "models.read",
    limit: "read",
    answers: { 200: ModelList },
    run: async ({ service }) => ({
      value: { items: [...service.ports.models()], next: null },
      sequence: 0,
    }),
  }),
];
