/** How turns and conversations end: asked for, with time, by a worker's report or by a takeover. */
import { describe, expect, test } from "vitest";
import { limits } from "../../schemas/limits.ts";
import {
  cancelled,
  data,
  failed,
  progress,
  restarted,
  situations,
  t1,
  usage,
  when,
} from "./decisions.ts";

const { idle, running, waiting, archived } = situations;

describe("endings", () => {
  test("cancel names a turn: the running one, one that waits, or one that is over", () => {
    expect(when(waiting, "cancel", { turn: "t1" }).said).toBe(`${cancelled} turn.started`);
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
    expect(when(titled, "complete", complete).said).toBe("model.attempted turn.completed");
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
