/**
 * Events as `tail` and `replay` tell them, one a line: for programs all of an event as JSON, for people
 * a short line. What people wrote is shown, to whoever has the keys, and never raw.
 */
import { styleText } from "node:util";
import { lastRevision, type Commit } from "../../schemas/commit.ts";
import type { Logged } from "../../streams/log/reader.ts";
import { printable } from "../line/terminal.ts";

/** Characters of an event's data in a line for people. */
const data_chars_max = 160;

/** An event by itself; `id` names it everywhere: `<actor>:<revision>`. */
export interface ToldEvent {
  readonly id: string;
  readonly sequence: number;
  readonly tenant: string;
  readonly kind: string;
  readonly actor: string;
  readonly revision: number;
  readonly type: string;
  readonly v: number;
  readonly at: string;
  readonly by: Commit["by"];
  readonly command: string;
  readonly commit: string;
  readonly traceparent: string | null;
  /** Its content is gone, and blank. */
  readonly erased: boolean;
  readonly data: object;
}

/** The events of a commit, all or those of a type. */
export function eventsOf(commit: Commit, type: string | null): ToldEvent[] {
  const { ref, sequence, at, by, command, traceparent, erased } = commit;
  return commit.events.flatMap((event, index) => {
    if (type !== null && event.type !== type) return [];
    const revision = commit.revision + index;
    return {
      ...{
        id: `${ref.id}:${revision}`,
        sequence,
        tenant: ref.tenant,
        kind: ref.kind,
        actor: ref.id,
      },
      ...{ revision, type: event.type, v: event.v, at, by, command, commit: commit.commit },
      ...{ traceparent, erased, data: event.data },
    };
  });
}

type Colour = "dim" | "cyan" | "red" | "yellow";
/** Only on a terminal that has colours, and not with NO_COLOR. */
const coloured = (colour: Colour, text: string): string =>
  styleText(colour, text, { stream: process.stdout });

/** An event as one short line. */
export function lineOf(event: ToldEvent, last: number): string {
  const { sequence, at, tenant, kind, actor, revision, type, erased, data, by } = event;
  const content = printable(JSON.stringify(data));
  const shown = content.length > data_chars_max ? `${content.slice(0, data_chars_max)}…` : content;
  const whose = `${tenant} ${kind} ${actor} ${revision}/${last}`;
  return [
    coloured("dim", `${sequence}  ${at}`),
    whose,
    coloured(type.endsWith(".failed") || type.endsWith(".deleted") ? "yellow" : "cyan", type),
    coloured("dim", printable(`${by.type} ${by.id}`)),
    erased ? coloured("dim", "(erased)") : shown,
  ].join("  ");
}

/** What can be told of a message, as lines; `json` for programs. */
export function linesFor(logged: Logged, type: string | null, json: boolean): string[] {
  if ("undecodable" in logged) {
    const { ref, sequence, revision, reason } = logged;
    if (json) {
      const { tenant, kind, id: actor } = ref;
      return [JSON.stringify({ sequence, tenant, kind, actor, revision, unreadable: reason })];
    }
    const whose = `${ref.tenant} ${ref.kind} ${ref.id} ${revision}`;
    return [`${sequence}  ${whose}  ${coloured("red", `cannot be read: ${printable(reason)}`)}`];
  }
  const last = lastRevision(logged);
  return eventsOf(logged, type).map((event) =>
    json ? JSON.stringify(event) : lineOf(event, last),
  );
}
