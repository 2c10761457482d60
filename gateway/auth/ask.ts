/** Commands to accounts and workspaces: sent as who asks, answered once. */
import { parseCommand, type CommandData, type TravellingName } from "../../schemas/commands.ts";
import { AppError } from "../../schemas/errors.ts";
import type { ActorRef, By } from "../../schemas/ids.ts";
import type { Outcome } from "../commands.ts";
import type { Service } from "../service.ts";

/** The commit's place in the log. Throws what the actor refuses, and `bad_request`. */
export async function ask<N extends TravellingName>(
  service: Service,
  by: By,
  ref: ActorRef,
  name: N,
  data: CommandData<N>,
  id: string = service.ports.ids(),
): Promise<number> {
  const parsed = parseCommand(name, data);
  if (!parsed.ok) throw new AppError("bad_request", parsed.problem);
  const request = { ref, name, id, data: parsed.command.data, by, traceparent: null };
  const outcome = await new Promise<Outcome>((resolve) => service.commands.run(request, resolve));
  if (outcome.ok) return outcome.sequence;
  throw new AppError(outcome.error.code, outcome.error.message);
}

/**
 * The same for what ends credentials: it holds at this gateway before it is answered, as it does a
 * moment later at all others.
 */
export async function askAndEnd<N extends TravellingName>(
  service: Service,
  by: By,
  ref: ActorRef,
  name: N,
  data: CommandData<N>,
): Promise<void> {
  const sequence = await ask(service, by, ref, name, data);
  const commit = await service.ports.log.at(sequence);
  if (commit !== null) service.revocations.see(commit);
}

export const userBy = (id: string): By => ({ type: "user", id });
/** The gateway for itself, where no person can ask any more. */
export const gatewayBy: By = { type: "system", id: "gateway" };
