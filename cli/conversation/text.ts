/** A conversation and what changed in it as a person reads them. Nothing of it reaches a terminal raw. */
import type { Message } from "../../schemas/http.ts";
import type { ActorRef } from "../../schemas/ids.ts";
import type { Difference, State, WholeConversation } from "../projections/difference.ts";
import { printable } from "../line/terminal.ts";

const shown = (value: unknown): string =>
  value === null ? "-" : printable(typeof value === "string" ? value : JSON.stringify(value));

const place = ({ revision, at }: State): string =>
  at === null ? "before it began" : `revision ${revision} (${at})`;

const indented = (text: string): string[] =>
  printable(text, true)
    .split("\n")
    .map((line) => `    ${line}`.trimEnd());

export function stateLines(tenant: string, state: State): string[] {
  const { conversation, messages } = state;
  if (conversation === null) return [];
  return [
    `conversation ${conversation.id} of ${tenant}, ${place(state)}`,
    ...fieldLines(conversation),
    ...messages.flatMap((message) => ["", ...messageLines("", message)]),
  ];
}

function fieldLines(conversation: WholeConversation): string[] {
  const { id: _, revision: __, ...fields } = conversation;
  return Object.entries(fields).map(([field, value]) => `  ${field.padEnd(9)}  ${shown(value)}`);
}

function messageLines(mark: string, message: Message): string[] {
  const { id, role, status, model, usage, error, parent, revision, createdAt, text } = message;
  const facts = [
    `${createdAt}, revision ${revision}`,
    ...(status === "done" ? [] : [status]),
    ...(model === null ? [] : [printable(model)]),
    ...(usage === null
      ? []
      : [`${usage.tokensIn} + ${usage.tokensOut} tokens, ${usage.costUsd} USD`]),
    ...(error === null ? [] : [printable(`${error.code}: ${error.message}`)]),
    ...(parent === null ? [] : [`after ${parent}`]),
  ];
  return [`${mark}${role} ${id}  ${facts.join(", ")}`, ...(text === "" ? [] : indented(text))];
}

export function differenceLines(
  { tenant, id }: ActorRef,
  from: State,
  to: State,
  { conversation, added, changed, removed }: Difference,
): string[] {
  const lines = [`conversation ${id} of ${tenant}, ${place(from)} → ${place(to)}`];
  for (const { field, from: was, to: is } of conversation) {
    lines.push(`  ${field.padEnd(9)}  ${shown(was)} → ${shown(is)}`);
  }
  for (const message of removed) lines.push("", ...messageLines("- ", message));
  for (const { message, fields } of changed) {
    lines.push("", `~ ${message.role} ${message.id}`);
    for (const { field, from: was, to: is } of fields) {
      if (field === "text") lines.push(...textLines(String(was), String(is)));
      else lines.push(`    ${field.padEnd(9)}  ${shown(was)} → ${shown(is)}`);
    }
  }
  for (const message of added) lines.push("", ...messageLines("+ ", message));
  return lines.length === 1 ? [...lines, "  nothing changed"] : lines;
}

/** The lines that differ, without those that both begin and end with. */
function textLines(was: string, is: string): string[] {
  const [before, after] = [was, is].map((text) => (text === "" ? [] : text.split("\n")));
  if (before === undefined || after === undefined) return [];
  let start = 0;
  while (start < before.length && before[start] === after[start]) start += 1;
  let same = 0;
  const rest = Math.min(before.length, after.length) - start;
  while (same < rest && before.at(-1 - same) === after.at(-1 - same)) same += 1;
  const marked = (mark: string, lines: readonly string[]): string[] =>
    lines
      .slice(start, lines.length - same)
      .map((line) => `    ${mark} ${printable(line)}`.trimEnd());
  return [...marked("-", before), ...marked("+", after)];
}
