/**
 * A dead letter as it is shown: its outside in lists, its content only where it was asked for. It was
 * written by strangers, so nothing of it reaches a terminal raw.
 */
import type { Letter } from "../../streams/queue/letters.ts";
import { printable, reason } from "../line/terminal.ts";

/** What a letter says without its content. */
export function outside({ ref, stored, ...letter }: Letter) {
  const { sequence, at, name, command, code, deliveries, bytes, stuck } = letter;
  return {
    ...{ letter: sequence, at, stored: stored?.at ?? null },
    ...{ tenant: ref?.tenant ?? null, kind: ref?.kind ?? null, id: ref?.id ?? null },
    ...{ name, command, code, reason: letter.reason, deliveries, bytes, stuck },
  };
}

/** The rest: where it lay, its headers, and what its sender wrote. */
export function inside({ subject, stored, headers, payload }: Letter) {
  const text = utf8(payload);
  return {
    ...{ subject, sequence: stored?.sequence ?? null, headers },
    encoding: text === null ? "base64" : "utf8",
    payload: text ?? Buffer.from(payload).toString("base64"),
  };
}

function utf8(bytes: Uint8Array): string | null {
  try {
    return new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch {
    return null;
  }
}

/** A letter as three lines of a list, without its content. */
export function summary(letter: Letter): string[] {
  const { sequence, at, ref, name, command, deliveries } = letter;
  const whose = ref === null ? printable(letter.subject) : `${ref.tenant} ${ref.kind} ${ref.id}`;
  return [
    `${sequence}  ${at}  ${whose}`,
    `    ${name ?? "no command"} ${command ?? "without an id"}, delivered ${deliveries} times`,
    `    ${printable(`${letter.code}: ${letter.reason}`)}`,
  ];
}

/** All of a letter, for a person. */
export function whole(letter: Letter): string[] {
  const { encoding, payload, headers } = inside(letter);
  const rows = Object.entries({ ...outside(letter), subject: letter.subject, headers }).map(
    ([field, value]) => {
      const text = typeof value === "string" ? value : JSON.stringify(value);
      return `${field.padEnd(10)}  ${printable(value === null ? "-" : text)}`;
    },
  );
  return [...rows, "", encoding === "utf8" ? printable(pretty(payload), true) : payload];
}

function pretty(text: string): string {
  try {
    return JSON.stringify(JSON.parse(text), null, 2);
  } catch (error) {
    return `${text}\n(${reason(error)})`;
  }
}
