/**
 * What tests of anchors work with: chains that grow, and a workspace that decides by its own law at
 * once, in place of a worker.
 */
import { workspaceKind } from "../../actors/workspace/kind.ts";
import { empty_head, type Head, headOf } from "../../schemas/commit.ts";
import { AppError } from "../../schemas/errors.ts";
import {
  type ActorRef,
  type By,
  refKey,
  systemClock,
  systemIds,
  workspaceRef,
} from "../../schemas/ids.ts";
import { event } from "../../schemas/events.ts";
import { parseCommand } from "../../schemas/commands.ts";
import type { RoundParts } from "../../streams/proof/anchor-rounds.ts";
import type { OutgoingCommand } from "../../streams/queue/commands.ts";
import { type Client, draft, titled } from "./system.ts";

export const system_by: By = { type: "system", id: "operator" };

export interface Desk {
  readonly parts: RoundParts;
  /** Tenants whose workspaces take nothing. */
  readonly deaf: Set<string>;
  readonly problems: string[];
  /** One more commit of a chain. */
  grow(ref: ActorRef, title?: string): Promise<void>;
  /** An operator's export is recorded. */
  exported(tenant: string): Promise<void>;
}

export function openDesk({ streams, log }: Client): Desk {
  const heads = new Map<string, Head>();
  const deaf = new Set<string>();
  const problems: string[] = [];
  /** The workspace's commands, one after the other, as its worker would decide on them. */
  const line = new Map<string, Promise<void>>();

  const decided = async (command: OutgoingCommand): Promise<void> => {
    const { ref, name, data, by, id } = command;
    if (deaf.has(ref.tenant)) throw new AppError("unavailable", "deaf");
    if (name !== "anchor" && name !== "record-export") throw new Error(name);
    const parsed = parseCommand(name, data);
    if (!parsed.ok) throw new Error(parsed.problem);
    const instance = workspaceKind.create(ref);
    let head = empty_head;
    for await (const commit of log.read(ref, empty_head)) {
      instance.fold(commit);
      head = headOf(commit);
    }
    const asking = { id, by, full: false, overloaded: false, busy: false, at: "" };
    const answer = await instance.decide(parsed.command, asking);
    if (answer.is === "refused" || answer.events.length === 0) return;
    await log.append({ ...draft(ref, answer.events), command: id, by }, head);
  };
  const publish = (command: OutgoingCommand): Promise<void> => {
    const key = refKey(command.ref);
    const next = (line.get(key) ?? Promise.resolve())
      .catch(() => undefined)
      .then(() => decided(command));
    line.set(key, next);
    return next;
  };
  return {
    deaf,
    problems,
    parts: {
      ...{ streams, publish: { publish }, by: system_by, clock: systemClock, ids: systemIds },
      report: ({ what, error }) => problems.push(`${what}: ${String(error)}`),
    },
    async grow(ref, title = "t") {
      const key = refKey(ref);
      const head = heads.get(key) ?? empty_head;
      const appended = await log.append(draft(ref, [titled(title), titled(title)]), head);
      if (!appended.ok) throw new Error("lost");
      heads.set(key, appended.head);
    },
    exported: (tenant) =>
      publish({
        ...{ ref: workspaceRef(tenant), name: "record-export", id: systemIds(), by: system_by },
        data: event("log.exported", {
          ...{ operator: "ann", from: 1, to: 2, commits: 1, keys: false },
        }).data,
        ...{ reply: null, traceparent: null },
      }),
  };
}
