/** Runs of AG-UI, as operations of the HTTP API. */
import { RunAgentInput } from "../../schemas/ag-ui.ts";
import { limits } from "../../schemas/limits.ts";
import { type Operation, operation, taken } from "../http/operation.ts";
import { send_refusals } from "../turns/send-refusals.ts";
import { postRun } from "./run-api.ts";

export const operations: readonly Operation[] = [
  operation({
    id: "runAgent",
    method: "POST",
    path: "/api/v1/ag-ui",
    summary: "Answers the last message of a thread, as events of the AG-UI protocol.",
    tag: "agents",
    access: "conversations.write",
    limit: "command",
    body: RunAgentInput,
    body_bytes_max: limits.chat_body_bytes_max,
    answers: { 200: "stream" },
    refuses: send_refusals,
    async run(call, exchange) {
      await postRun(call, exchange);
      return taken;
    },
  }),
];
