/** Random histories of commands through `decide` and the machine alone: what holds after each. */
import fc from "fast-check";
import { expect, test } from "vitest";
import { type MessageNode, pathTo } from "../../actors/conversation/state.ts";
import { get } from "../../actors/table.ts";
import type { ConversationCommand } from "../../schemas/commands.ts";
import type { DomainEvent } from "../../schemas/events.ts";
import { limits } from "../../schemas/limits.ts";
import { after, ask, call, nothing } from "./decisions.ts";

const overlap = fc.constantFrom("queue", "queue", "queue", "interrupt", "merge", "reject");
const at = fc.nat(1_000);
const published = { text: "ab", seq: 1, frames: { lengths: [2], times: [0] } };
/** What is asked next; numbers choose among the messages, turns and attempts that there are by then. */
const step = fc.record({
  what: fc.constantFrom(
    ...([
      "send",
      "send",
      "send",
      "send",
      "branch",
      "edit",
      "regenerate",
      "cancel",
      "cancel",
    ] as const),
    ...(["head", "archive", "restore", "configure", "delete", "create", "same id"] as const),
    ...(["checkpoint", "retry", "complete", "fail", "takeover", "stale"] as const),
    ...(["share", "unshare", "rate"] as const),
  ),
  ...{ at, overlap, worker: fc.constantFrom("w1", "w2"), rare: fc.nat(9) },
  /** Mostly its owner's; users of few names, so that shares and ratings meet again. */
  ...{ by: fc.constantFrom("ann", "ann", "ann", "ann", "ann", "ben", "eve") },
  ...{ user: fc.constantFrom("ben", "ben", "cy", "ann", "constructor") },
  ...{ role: fc.constantFrom("viewer", "editor"), rating: fc.constantFrom("up", "down", null) },
});

/** Many who only wait fill the queue; without them it seldom would. */
const crowd = fc.array(
  step.map((one) => ({
    ...one,
    what: "send" as const,
    overlap: "queue" as const,
    by: "ann" as const,
  })),
  { minLength: 15, maxLength: 25, size: "max" },
);
const some = fc.array(step, { maxLength: 60, size: "max" });
const histories = fc.oneof(
  some,
  fc.tuple(some, crowd, some).map((parts) => parts.flat()),
);

interface Known {
  readonly messages: readonly string[];
  readonly turns: readonly string[];
  readonly running: { readonly turn: string; readonly attempt: number };
}

function commandOf(one: typeof step extends fc.Arbitrary<infer S> ? S : never, known: Known) {
  const pick = (list: readonly string[]): string => list[one.at % list.length] ?? "none";
  const message = pick(known.messages);
  const wish = { overlap: one.overlap };
  const { running } = known;
  const make = (command: ConversationCommand): ConversationCommand => command;
  switch (one.what) {
    case "send":
    case "same id":
      return make({ name: "send", data: { text: "t", ...wish } });
    case "branch":
      return make({ name: "send", data: { text: "t", parent: message, ...wish } });
    case "edit":
      return make({ name: "edit", data: { message, text: "t", ...wish } });
    case "regenerate":
      return make({ name: "regenerate", data: { message, ...wish } });
    case "cancel":
      return make({ name: "cancel", data: one.at % 2 === 0 ? {} : { turn: pick(known.turns) } });
    case "head":
      return make({ name: "update", data: { head: message, title: "t" } });
    case "configure":
      return make({ name: "update", data: { ...wish, model: "m2" } });
    case "archive":
    case "restore":
      return make({ name: "update", data: { archived: one.what === "archive" && one.rare < 3 } });
    case "delete":
      return make(one.rare === 0 ? { name: "delete", data: {} } : { name: "create", data: {} });
    case "create":
      return make({ name: "create", data: {} });
    case "share":
      return make({ name: "share", data: { user: one.user, role: one.role } });
    case "unshare":
      return make({ name: "unshare", data: { user: one.user } });
    case "rate":
      return make({ name: "rate", data: { message, rating: one.rating } });
    case "checkpoint":
      return make({ name: "checkpoint", data: { ...running, first: 1, ...published } });
    case "retry":
      return make({ name: "retry", data: { ...running, call, code: "internal", detail: "" } });
    case "complete":
      return make({
        name: "complete",
        data: { ...running, ...published, finish: "stop", call, title: "t" },
      });
    case "fail":
      return make({
        name: "fail",
        data: { ...running, ...published, code: "internal", detail: "", call: null },
      });
    case "takeover":
      return make({ name: "takeover", data: { ...running, reason: "owner_gone" } });
    case "stale":
      return make({
        name: "complete",
        data: {
          ...{ turn: pick(known.turns), attempt: 1 + (one.at % 4), ...published },
          ...{ finish: "stop", call, title: null },
        },
      });
  }
}

const reports: ReadonlySet<string> = new Set([
  ...["checkpoint", "retry", "complete", "fail", "expire", "takeover", "idle"],
]);

/** Who may do what, told once more in other words: by the events of sharing alone. */
function sharingModel() {
  let owner: string | null = null;
  const shares = new Map<string, string>();
  let ratings = 0;
  return {
    /** A stranger is told that nothing is there, a viewer rates, and an editor owns nothing. */
    judge(name: string, user: string, decision: ReturnType<typeof ask>): void {
      if (owner === null || owner === user || reports.has(name)) return;
      const role = shares.get(user);
      if (role === undefined) expect(decision).toMatchObject({ is: "refused", code: "not_found" });
      if (decision.is !== "events" || decision.events.length === 0) return;
      const more = role === "editor" ? ["send", "edit", "regenerate", "cancel"] : [];
      expect([...more, "rate"], `${user}, ${role}`).toContain(name);
    },
    happened({ type, data }: DomainEvent): void {
      if (type === "conversation.started") owner = data.owner;
      else if (type === "conversation.shared") shares.set(data.user, data.role);
      else if (type === "conversation.unshared") shares.delete(data.user);
      else if (type === "message.rated") ratings += 1;
    },
    begun: () => owner !== null,
    says: () => [Object.fromEntries(shares), ratings],
  };
}

test("I3: I7: I10: I11: whatever is asked, the machine allows what was decided, and the state stays sound", () => {
  const seen = new Set<string>();
  let longest = 0;
  let allowed = 0;
  fc.assert(
    fc.property(histories, (steps) => {
      let snapshot = nothing();
      let made = 0;
      const ids = (): string => `id-${++made}`;
      const messages: string[] = [];
      const turns: string[] = [];
      const sharing = sharingModel();
      for (const one of steps) {
        const { context } = snapshot;
        const running = context.running ?? { turn: "none", attempt: 1 };
        const { turn, attempt } = running;
        const command = commandOf(one, { messages, turns, running: { turn, attempt } });
        const id = one.what === "same id" ? (messages[one.at % messages.length] ?? ids()) : ids();
        // It is Ann's, whoever else writes in it; workers report whoever asked.
        const anns = !sharing.begun() || reports.has(command.name);
        const by = { type: "user", id: anns ? "ann" : one.by } as const;
        const decision = ask(snapshot, command, { command: id, ids, worker: one.worker, by });
        sharing.judge(command.name, by.id, decision);
        if (decision.is === "refused") {
          seen.add(decision.code);
          continue;
        }
        // `after` throws at the first event that may not follow.
        snapshot = after(snapshot, decision.events, id);
        allowed += decision.events.length;
        for (const { type, data } of decision.events) {
          seen.add(type);
          if (type === "message.added") messages.push(data.message);
          if (type === "turn.started" || type === "turn.queued") {
            messages.push(data.message);
            turns.push(data.turn);
          }
        }
        const now = snapshot.context;
        for (const told of decision.events) sharing.happened(told);
        expect([now.shares, now.ratings]).toEqual(sharing.says());
        longest = Math.max(longest, now.queue.length);
        expect(now.queue.length).toBeLessThanOrEqual(limits.turns_queued_per_conversation_max);
        expect(new Set(now.queue.map((waits) => waits.turn)).size).toBe(now.queue.length);
        if (now.running === null) expect(now.queue).toEqual([]);
        else {
          expect(["w1", "w2"]).toContain(now.running.owner);
          expect(now.running.attempt).toBeLessThanOrEqual(limits.turn_attempts_max);
        }
        // Whoever waits for an answer has a question that is there.
        for (const { user } of [...now.queue, ...(now.running === null ? [] : [now.running])]) {
          expect(get(now.messages, user)).toBeDefined();
          expect(pathTo(now, user).at(-1)?.message).toBe(user);
        }
      }
      const { messages: nodes } = snapshot.context;
      for (const message of messages) {
        let up: string | null = message;
        for (let above = 0; up !== null; above++) {
          if (above > nodes.size) throw new Error(`the path of ${message} is a circle`);
          const node: MessageNode | undefined = get(nodes, up);
          if (node === undefined) throw new Error(`${up} is not there`);
          up = node.parent;
        }
      }
    }),
    { numRuns: 150 },
  );
  // The histories went where it matters.
  expect(longest).toBe(limits.turns_queued_per_conversation_max);
  expect(allowed).toBeGreaterThan(2_000);
  for (const one of [
    ...["turn.restarted", "turn.failed", "conversation.archived", "queue_full"],
    ...["conversation.shared", "conversation.unshared", "message.rated", "forbidden"],
  ]) {
    expect(seen, one).toContain(one);
  }
});
