/** Every command in every situation of a conversation, and then what each decision says exactly. */
import { describe, expect, test } from "vitest";
import type { CommandData, ConversationCommand } from "../../schemas/commands.ts";
import { limits } from "../../schemas/limits.ts";
import { no_frames } from "../../schemas/tokens.ts";
import {
  call,
  overlapping,
  progress,
  queued,
  restarted,
  type Situation,
  situations,
  usage,
  when,
} from "./decisions.ts";

type CommandName = ConversationCommand["name"];
const { idle, running, waiting, archived } = situations;
const t1 = { turn: "t1", attempt: 1 };
const published = { text: "all", seq: 1, frames: { lengths: [3], times: [0] } };
const data: { [N in CommandName]: CommandData<N> } = {
  create: {},
  send: { text: "next" },
  converse: { messages: [{ role: "user", text: "next" }] },
  edit: { message: "u", text: "other" },
  regenerate: { message: "t0-m" },
  cancel: {},
  update: { title: "t" },
  delete: {},
  share: { user: "ben", role: "viewer" },
  unshare: { user: "ben" },
  rate: { message: "t0-m", rating: "up" },
  checkpoint: { ...t1, first: 1, ...published },
  retry: { ...t1, call, code: "model_unavailable", detail: "" },
  complete: { ...t1, ...published, finish: "stop", call, title: null },
  fail: { ...t1, ...published, code: "model_stream_cut", detail: "", call },
  expire: t1,
  takeover: { ...t1, reason: "owner_gone" },
  idle: {},
};

const gone = "refused conversation_deleted";
const absent = "refused not_found";
const archive = "refused conversation_archived";
const cancelled = "model.attempted turn.cancelled";
const taken = "model.attempted turn.restarted";
const failed = "model.attempted turn.failed";
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

describe("endings", () => {
  test("cancel names a turn: the running one, one that waits, or one that is over", () => {
    expect(when(waiting, "cancel", { turn: "t1" }).said).toBe(table.cancel.waiting);
    const { events } = when(waiting, "cancel", { turn: "t3" });
    expect(events).toHaveLength(1);
    expect(events[0]?.data).toMatchObject({ turn: "t3", attempt: 0, reason: "asked", seq: 0 });
    expect(when(waiting, "cancel", { turn: "t0" }).said).toBe("");
  });

  test("I12: a turn that ends before its call was made bills none", () => {
    const { events, said } = when(running, "cancel", {}, { progress: { ...progress, call: null } });
    expect(said).toBe("turn.cancelled");
    expect(events[0]?.data).toMatchObject({ usage: { tokensIn: 0, costUsd: "0.000000" } });
    expect(when(running, "fail", { ...data.fail, call: null }).said).toBe("turn.failed");
  });

  test("archive ends what runs and what waits, once; it is undone once", () => {
    const { said, events } = when(waiting, "update", { archived: true, title: "t" });
    expect(said).toBe(
      `conversation.titled ${cancelled} turn.cancelled turn.cancelled conversation.archived`,
    );
    expect(events[2]?.data).toMatchObject({ reason: "archived" });
    expect(when(archived, "update", { archived: true }).said).toBe("");
    expect(when(idle, "update", { archived: false }).said).toBe("");
    expect(when(archived, "update", { archived: false, head: "u" }).said).toBe(
      "conversation.restored head.moved",
    );
  });

  test("what is already so is not said again", () => {
    expect(when(idle, "update", { overlap: "queue", model: null, head: "t0-m" }).said).toBe("");
  });

  test("the next that waits begins in the commit that ends the one before", () => {
    for (const name of ["complete", "fail"] as const) {
      const { events } = when(waiting, name, data[name]);
      expect(events.at(-1)?.data).toMatchObject({ turn: "t2", message: "t2-m", owner: "here" });
    }
  });

  test("an answer brings a title when there is none", () => {
    const complete = { ...data.complete, title: "About it" };
    const { events } = when(running, "complete", complete);
    expect(events[2]?.data).toEqual({ title: "About it", source: "self" });
    const titled = [...running, ...when(running, "update", { title: "t" }).events];
    expect(when(titled, "complete", complete).said).toBe(table.complete.running);
  });
});

describe("what comes with time", () => {
  test("I7: I12: a turn without a first word by its deadline fails, and the call is on the bill", () => {
    const silent = { ...progress, text: "", seq: 0, frames: { lengths: [], times: [] } };
    const { said, events } = when(waiting, "expire", t1, { progress: silent });
    expect(said).toBe(`${failed} turn.started`);
    expect(events[0]?.data).toMatchObject({ outcome: "failed", code: "model_timeout", usage });
    expect(events[1]?.data).toMatchObject({ code: "model_timeout", text: "", attempt: 1 });
    const uncalled = { ...silent, call: null };
    expect(when(running, "expire", t1, { progress: uncalled }).said).toBe("turn.failed");
  });

  test("a conversation moves to the archive when nothing has happened for long, and not before", () => {
    const began_ms = Date.parse("2026-01-01T00:00:00.000Z");
    const after = (ms: number) => ({ at: new Date(began_ms + ms).toISOString() });
    const almost = after(limits.conversation_idle_ms - 1);
    expect(when(idle, "idle", {}, almost).said).toBe("");
    const long = after(limits.conversation_idle_ms);
    expect(when(idle, "idle", {}, long).said).toBe("conversation.archived");
    for (const situation of [running, waiting, archived]) {
      expect(when(situation, "idle", {}, long).said).toBe("");
    }
  });

  test("I10: a tenant that runs as many turns as it may begins no further one, and waits where it waits", () => {
    expect(when(idle, "send", data.send, { busy: true }).said).toBe("refused tenant_busy");
    expect(when(running, "send", data.send, { busy: true }).said).toBe("message.added turn.queued");
    expect(when(idle, "update", data.update, { busy: true }).said).toBe("conversation.titled");
  });
});

describe("reports and takeovers", () => {
  const reports = ["checkpoint", "retry", "complete", "fail", "takeover"] as const;
  test("I5: what speaks of another turn or attempt changes nothing", () => {
    const second = [...running, restarted("t1", 2)];
    for (const name of reports) {
      expect(when(second, name, data[name]).said).toBe("");
      expect(when(second, name, { ...data[name], attempt: 3 }).said).toBe("");
      expect(when(waiting, name, { ...data[name], turn: "t2" }).said).toBe("");
      expect(when(second, name, { ...data[name], attempt: 2 }).said).not.toBe("");
    }
  });

  test("I7: a takeover is the next attempt, here; what was lost is on the bill", () => {
    const { events } = when(running, "takeover", data.takeover);
    expect(events[0]?.data).toMatchObject({ outcome: "lost", attempt: 1, usage });
    expect(events[1]?.data).toMatchObject({ turn: "t1", attempt: 2, owner: "here" });
  });

  test("I5: whoever ends a turn that it does not run voids the attempt that may still be written", () => {
    const elsewhere = { progress: { ...progress, elsewhere: true as const } };
    const cut = when(running, "cancel", {}, elsewhere);
    expect(cut.said).toBe("model.attempted turn.restarted turn.cancelled");
    expect(cut.events[0]?.data).toMatchObject({ attempt: 1 });
    expect(cut.events[1]?.data).toMatchObject({ attempt: 2, owner: "here", reason: "voided" });
    const { text, seq, frames } = progress;
    expect(cut.events[2]?.data).toMatchObject({ attempt: 2, text, seq, frames });
    const last = limits.turn_attempts_max;
    const history = [...running];
    for (let attempt = 2; attempt <= last; attempt++) history.push(restarted("t1", attempt));
    const lost = when(history, "takeover", { ...data.takeover, attempt: last }, elsewhere);
    expect(lost.said).toBe("model.attempted turn.restarted turn.failed");
    expect(lost.events[2]?.data).toMatchObject({ attempt: last + 1, text });
  });

  test("I7: past the last attempt the turn fails with what was seen, and the next begins", () => {
    const last = limits.turn_attempts_max;
    const history = [...waiting];
    for (let attempt = 2; attempt <= last; attempt++) history.push(restarted("t1", attempt));
    const { events, said } = when(history, "takeover", { ...data.takeover, attempt: last });
    expect(said).toBe("model.attempted turn.failed turn.started");
    const { text, seq, frames } = progress;
    const code = "turn_attempts_exhausted";
    expect(events[1]?.data).toMatchObject({ attempt: last, text, seq, frames, code });
  });
});

describe("a program's request", () => {
  const messages = [
    { role: "system", text: "be brief" },
    { role: "user", text: "hi" },
    { role: "assistant", text: "hello" },
    { role: "user", text: "and now?" },
  ] as const;
  const asked = when([], "converse", { messages: [...messages], sampling: { temperature: 0.5 } });

  test("begins with all that its client says was said, each message behind the one before", () => {
    expect(asked.said).toBe(
      `conversation.started ${"message.added ".repeat(messages.length)}turn.started`,
    );
    const [began, ...rest] = asked.events;
    expect(began?.data).toMatchObject({ origin: "api", request: { temperature: 0.5 } });
    const added = rest.flatMap(({ type, data }) => (type === "message.added" ? [data] : []));
    expect(added.map(({ role, text }) => ({ role, text }))).toEqual(messages);
    expect(added.map(({ parent }) => parent)).toEqual([
      null,
      ...added.slice(0, -1).map(({ message }) => message),
    ]);
    // The last message is named by the command, as that of a `send` is.
    expect(added.at(-1)?.message).toBe("new");
    expect(rest.at(-1)?.data).toMatchObject({ user: "new" });
  });

  test("is archived in the commit that ends its turn, however that ends", () => {
    const turn = asked.events.at(-1)?.data;
    if (turn === undefined || !("turn" in turn)) throw new Error("it has a turn");
    const of = { turn: turn.turn, attempt: 1 };
    const done = { ...published, finish: "stop", call, title: "T" } as const;
    expect(when(asked.events, "complete", { ...of, ...done }).said).toBe(
      "model.attempted turn.completed conversation.titled conversation.archived",
    );
    const ended = "conversation.archived";
    expect(when(asked.events, "cancel", {}).said).toBe(`${cancelled} ${ended}`);
    const lost = { ...of, ...published, code: "model_stream_cut", detail: "", call } as const;
    expect(when(asked.events, "fail", lost).said).toBe(`${failed} ${ended}`);
  });

  test("is a conversation like any other once it was taken out of the archive", () => {
    const history = [...asked.events];
    const turn = history.at(-1)?.data;
    if (turn === undefined || !("turn" in turn)) throw new Error("it has a turn");
    history.push(...when(history, "cancel", {}).events);
    history.push(...when(history, "update", { archived: false }).events);
    history.push(...when(history, "send", { text: "go on" }, { command: "again" }).events);
    expect(when(history, "cancel", {}).said).toBe(cancelled);
  });
});
