/**
 * One message of COMMANDS: checked from its subject to its signature, then a handle whose acks,
 * renewals and dead letter cannot outlive its pin. What does not pass is refused with a code and a
 * reason; nothing a stranger publishes throws.
 */
import type { JsMsg } from "@nats-io/jetstream";
import {
  commandMessage,
  isWorkerCommand,
  type NamedCommand,
  parseCommand,
  takesCommand,
} from "../../schemas/commands.ts";
import type { ErrorCode } from "../../schemas/errors.ts";
import { type ActorRef, type By, isUuid } from "../../schemas/ids.ts";
import { limits } from "../../schemas/limits.ts";
import { mayReplyTo, parseStoredCommand } from "../../schemas/subjects.ts";
import { parseJson } from "../../schemas/validate.ts";
import { type BySigner, integrationOf } from "./by.ts";
import { by_header, reply_header, trace_header } from "./commands.ts";

/** A command that passed every check. */
export interface Accepted {
  readonly ref: ActorRef;
  readonly id: string;
  readonly command: NamedCommand;
  readonly by: By;
  readonly manages: boolean;
  readonly traceparent: string | null;
  readonly reply: string | null;
}

/** Why a message cannot be a command, and what is known of it all the same. */
export interface Refused {
  readonly code: ErrorCode;
  readonly reason: string;
  readonly ref: ActorRef | null;
  /** The command's id, where that much could be read. */
  readonly id: string | null;
  /** Where and to which id it can be answered; null when it cannot. */
  readonly answer: { readonly reply: string; readonly command: string } | null;
}

/** Checks a message; never throws for what is in it. */
export function readCommand(
  message: Pick<JsMsg, "subject" | "data" | "headers">,
  signer: BySigner,
): { ok: true; accepted: Accepted } | { ok: false; refused: Refused } {
  const { subject, data, headers } = message;
  const header = (name: string): string | null => headers?.get(name) || null;
  const target = parseStoredCommand(subject);
  const asked = header(reply_header);
  const reply =
    target !== null && asked !== null && mayReplyTo(target.ref.tenant, asked) ? asked : null;
  let id: string | null = null;
  const refuse = (code: ErrorCode, reason: string): { ok: false; refused: Refused } => {
    const answer = reply === null || id === null ? null : { reply, command: id };
    return { ok: false, refused: { code, reason, ref: target?.ref ?? null, id, answer } };
  };

  if (target === null) return refuse("bad_request", "the subject is not that of a command");
  if (data.length > limits.command_bytes_max)
    return refuse("too_large", "the payload is too large");
  const value = parseJson(Buffer.from(data.buffer, data.byteOffset, data.byteLength).toString());
  if (value === undefined) return refuse("bad_json", "the payload is not JSON");
  if (typeof value === "object" && value !== null && "id" in value) {
    if (typeof value.id === "string" && isUuid(value.id)) id = value.id;
  }
  const parsed = commandMessage.parse(value);
  if (!parsed.ok) return refuse("bad_request", parsed.problem);
  if (asked !== null && reply === null) {
    return refuse("bad_reply_subject", `replies of ${target.ref.tenant} cannot go to that subject`);
  }
  const { ref, name } = target;
  if (!takesCommand(ref.kind, name)) {
    return refuse("unknown_command", `a ${ref.kind} has no command ${name}`);
  }
  const { id: command_id, data: command_data } = parsed.value;
  const command = parseCommand(name, command_data);
  if (!command.ok) return refuse("bad_request", command.problem);
  const signature = header(by_header);
  const signed =
    signature === null
      ? integrationOf(ref.tenant)
      : signer.verify(signature, ref.tenant, command_id);
  if (signed === null)
    return refuse("unauthenticated", `${by_header} was not signed for this command`);
  if (isWorkerCommand(name) && signed.by.type !== "system") {
    return refuse("forbidden", `only the system may ask for ${name}`);
  }
  const traceparent = header(trace_header);
  return {
    ok: true,
    accepted: { ref, id: command_id, command: command.command, ...signed, traceparent, reply },
  };
}
