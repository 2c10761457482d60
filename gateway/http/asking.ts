/**
 * Commands that HTTP operations send: under which id, so that a repeat takes effect once (I2), and the
 * wait for what the worker answers.
 */
import { createHash } from "node:crypto";
import { type CommandName, parseCommand, type PublicCommandName } from "../../schemas/commands.ts";
import { AppError } from "../../schemas/errors.ts";
import type { PostMessage } from "../../schemas/http.ts";
import type { ActorRef } from "../../schemas/ids.ts";
import type { Of } from "../../schemas/validate.ts";
import type { Call } from "./call.ts";
import type { Outcome } from "../commands.ts";
import { command, conversationRef } from "../service.ts";

/** What a command that took effect is answered. */
export type Done = Extract<Outcome, { ok: true }>;

/** A UUID (version 8) made of what must be the same for the same id to come out. */
export function derivedId(...parts: readonly string[]): string {
  const hex = createHash("sha256").update(parts.join("\n")).digest("hex");
  return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-8${hex.slice(13, 16)}-a${hex.slice(17, 20)}-${hex.slice(20, 32)}`;
}

/**
 * The command's id: the body's, else one that is made of the `Idempotency-Key` and of what is asked, else
 * a new one. A key that is a UUID is no id either: the same one at another route would be told that what
 * it asks for there has been done.
 */
export function commandId(call: Call, scope: string, wished?: string): string {
  if (wished !== undefined) return wished;
  const { idempotencyKey: key, who } = call;
  return key === null ? call.service.ports.ids() : derivedId(who.tenant, who.user, scope, key);
}

/** The same where one actor has several routes: the same key at another one is another command. */
export function commandIdAt({ idempotencyKey: key, who, service }: Call, scope: string): string {
  return key === null ? service.ports.ids() : derivedId(who.tenant, who.user, scope, key);
}

/** Sends a command; throws what refuses it. */
export async function run(
  call: Call,
  ref: ActorRef,
  name: PublicCommandName,
  id: string,
  data: unknown,
): Promise<Done> {
  const parsed = parseCommand(name, data);
  if (!parsed.ok) throw new AppError("bad_request", parsed.problem);
  const request = { ref, name: name satisfies CommandName, id, data: parsed.command.data };
  const outcome = await new Promise<Outcome>((resolve, reject) => {
    command(call.service, call.who, request, resolve, call.traceparent).catch(reject);
  });
  if (outcome.ok) return outcome;
  throw new AppError(outcome.error.code, outcome.error.message);
}

/** Sends a message; its id, and what the worker answered. */
export async function send(
  call: Call<Of<typeof PostMessage>>,
  id: string,
): Promise<{ readonly message: string; readonly done: Done }> {
  const { id: wished, ...data } = call.body;
  const message = commandId(call, `send ${id}`, wished);
  return { message, done: await run(call, conversationRef(call.who, id), "send", message, data) };
}
