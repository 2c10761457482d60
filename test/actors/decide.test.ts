/** Every command in every situation of a conversation; what is refused, and what a message does to a running turn. */
import { describe, expect, test } from "vitest";
import { limits } from "../../schemas/limits.ts";
import { no_frames } from "../../schemas/tokens.ts";
import {
  cancelled,
  type CommandName,
  data,
  failed,
  overlapping,
  progress,
  queued,
  type Situation,
  situations,
  usage,
  when,
} from "./decisions.ts";

const { idle, running, waiting } = situations;
const gone = "refused conversation_deleted";
const absent = "refused not_found";
const archive = "refused conversation_archived";
const taken = "model.attempted turn.restarted";
/** Reports speak of a running turn; where none runs they are stale and change nothing. */
const stale = { absent: "", idle: "", archived: "", deleted: "" };
const speaking = {
  ...{ idle: "message.added turn.started", running: "message.added turn.queued" },
  ...{ waiting: "message.added turn.queued", archived: archive, deleted: gone },
};

/** No cell may be missing: a new command or situation does not compile without its answers. */
const table: Record<CommandName, Record<Situation, string>> = {
  create: {
    ...{ absent: "conversation.started", idle: "", running: "", waiting: "" },
    ...{ archived: "", deleted: gone },
  },
  send: { absent: "conversation.started message.added turn.started", ...speaking },
  converse: {
    absent: "conversation.started message.added turn.started",
    ...{ idle: "refused id_taken", running: "refused id_taken", waiting: "refused id_taken" },
    ...{ archived: "refused id_taken", deleted: gone },
  },
  edit: { absent, ...speaking },
  regenerate: {
    ...{ absent, idle: "turn.started", running: "turn.queued", waiting: "turn.queued" },
    ...{ archived: archive, deleted: gone },
  },
  cancel: {
    ...{ absent, idle: "", running: cancelled, waiting: `${cancelled} turn.started` },
    ...{ archived: "", deleted: gone },
  },
  update: {
    ...{ absent, idle: "conversation.titled", running: "conversation.titled" },
    ...{ waiting: "conversation.titled", archived: "conversation.titled", deleted: gone },
  },
  delete: {
    ...{ absent, idle: "conversation.deleted", running: `${cancelled} conversation.deleted` },
    waiting: `${cancelled} turn.cancelled turn.cancelled conversation.deleted`,
    ...{ archived: "conversation.deleted", deleted: "" },
  },
  share: {
    ...{ absent, idle: "conversation.shared", running: "conversation.shared" },
    ...{ waiting: "conversation.shared", archived: "conversation.shared", deleted: gone },
  },
  unshare: { absent, idle: "", running: "", waiting: "", archived: "", deleted: gone },
  rate: {
    ...{ absent, idle: "message.rated", running: "message.rated", waiting: "message.rated" },
    ...{ archived: "message.rated", deleted: gone },
  },
  checkpoint: { ...stale, running: "turn.checkpointed", waiting: "turn.checkpointed" },
  retry: { ...stale, running: "model.attempted", waiting: "model.attempted" },
  complete: {
    ...{ ...stale, running: "model.attempted turn.completed" },
    waiting: "model.attempted turn.completed turn.started",
  },
  fail: {
    ...{ ...stale, running: failed, waiting: `${failed} turn.started` },
  },
  // The progress that is known here has words in it: the deadline is met.
  expire: { ...stale, running: "", waiting: "" },
  takeover: { ...stale, running: taken, waiting: taken },
  idle: { absent, idle: "", running: "", waiting: "", archived: "", deleted: "" },
};

// The keys are those of the tables.
const names = Object.keys(table) as CommandName[];
const cells = names.flatMap((name) =>
  (Object.keys(situations) as Situation[]).map((situation) => [name, situation] as const),
);
test.each(cells)("%s when %s", (name, situation) => {
  expect(when(situations[situation], name, data[name]).said).toBe(table[name][situation]);
});

describe("refusals", () => {
  test("I10: a stranger learns nothing, in whatever state it is; an integration acts for all", () => {
    for (const name of [
      "create",
      "send",
      "edit",
      "regenerate",
      "cancel",
      "update",
      "delete",
      "share",
      "unshare",
      "rate",
    ] as const) {
      for (const situation of ["idle", "running", "waiting", "archived", "deleted"] as const) {
        const by = { type: "user", id: "eve" } as const;
        expect(when(situations[situation], name, data[name], { by }).said).toBe(absent);
      }
    }
    const by = { type: "integration", id: "key" } as const;
    expect(when(idle, "send", data.send, { by }).said).toBe(speaking.idle);
  });

  test("a model that nobody knows", () => {
    const said = "refused model_not_found";
    expect(when([], "create", { model: "unknown" }).said).toBe(said);
    expect(when([], "send", { text: "a", model: "unknown" }).said).toBe(said);
    expect(when(idle, "regenerate", { message: "t0-m", model: "unknown" }).said).toBe(said);
    expect(when(idle, "update", { model: "unknown", title: "t" }).said).toBe(said);
  });

  test("messages that are not there, or not of the right kind", () => {
    const said = "refused message_not_found";
    expect(when([], "send", { text: "a", parent: "none" }).said).toBe(said);
    expect(when(idle, "send", { text: "a", parent: "none" }).said).toBe(said);
    expect(when(idle, "edit", { message: "t0-m", text: "a" }).said).toBe(said);
    expect(when(idle, "edit", { message: "none", text: "a" }).said).toBe(said);
    expect(when(idle, "regenerate", { message: "u" }).said).toBe(said);
    expect(when(idle, "regenerate", { message: "none" }).said).toBe(said);
    expect(when(idle, "update", { head: "none" }).said).toBe(said);
  });

  test("an id that a message has", () => {
    expect(when(idle, "send", { text: "a" }, { command: "u" }).said).toBe("refused id_taken");
    expect(when(idle, "edit", data.edit, { command: "t0-m" }).said).toBe("refused id_taken");
  });

  test("I11: a full conversation and a full worker begin no turn, but end those that run", () => {
    for (const [otherwise, said] of [
      [{ full: true }, "refused conversation_full"],
      [{ overloaded: true }, "refused overloaded"],
    ] as const) {
      for (const history of [idle, running]) {
        expect(when(history, "send", data.send, otherwise).said).toBe(said);
        expect(when(history, "edit", data.edit, otherwise).said).toBe(said);
        expect(when(history, "regenerate", data.regenerate, otherwise).said).toBe(said);
      }
      expect(when(waiting, "cancel", {}, otherwise).said).toBe(table.cancel.waiting);
      expect(when(waiting, "complete", data.complete, otherwise).said).toBe(table.complete.waiting);
      expect(when(waiting, "delete", {}, otherwise).said).toBe(table.delete.waiting);
    }
  });

  test("I11: the queue has a limit, which joining the last that waits does not reach", () => {
    const some = Array.from({ length: limits.turns_queued_per_conversation_max }, (_, n) =>
      queued(`q${n}`),
    );
    expect(when([...running, ...some.slice(1)], "send", data.send).said).toBe(speaking.running);
    const full = [...running, ...some];
    expect(when(full, "send", data.send).said).toBe("refused queue_full");
    expect(when(full, "regenerate", data.regenerate).said).toBe("refused queue_full");
    expect(when(full, "send", { text: "a", overlap: "merge" }).said).toBe(speaking.running);
  });
});

describe("a message while a turn runs", () => {
  test("interrupt ends it with what was seen, and all that wait, and begins", () => {
    const { events, said } = when(waiting, "send", { text: "now", overlap: "interrupt" });
    expect(said).toBe(`${cancelled} turn.cancelled turn.cancelled message.added turn.started`);
    const { text, seq, frames } = progress;
    expect(events[1]?.data).toEqual({
      ...{ turn: "t1", message: "t1-m", attempt: 1, text, seq, frames, usage },
      reason: "interrupted",
    });
    expect(events[2]?.data).toMatchObject({ turn: "t2", attempt: 0, text: "", frames: no_frames });
    expect(events[5]?.data).toMatchObject({ user: "new", attempt: 1, owner: "here" });
  });

  test("merge joins the last that waits; with none, a named parent or a branch it waits itself", () => {
    const merge = { overlap: "merge" } as const;
    const joined = when(waiting, "send", { text: "and", ...merge }).events;
    expect(joined[0]?.data).toMatchObject({ message: "new", parent: "u" });
    expect(joined[1]?.data).toMatchObject({ turn: "t3", message: "t3-m", user: "new" });
    for (const { events } of [
      when(running, "send", { text: "and", ...merge }),
      when(waiting, "send", { text: "and", parent: "u", ...merge }),
      when(waiting, "edit", { ...data.edit, ...merge }),
      when(waiting, "regenerate", { ...data.regenerate, ...merge }),
    ]) {
      expect(events.at(-1)).toMatchObject({ type: "turn.queued", data: { turn: "id1" } });
    }
  });

  test("reject refuses; the message's wish goes before the conversation's; idle, none matters", () => {
    const rejecting = [...running, overlapping("reject")];
    expect(when(rejecting, "send", data.send).said).toBe("refused turn_running");
    expect(when(rejecting, "send", { text: "a", overlap: "queue" }).said).toBe(speaking.running);
    expect(when(idle, "send", { text: "a", overlap: "reject" }).said).toBe(speaking.idle);
  });
});
