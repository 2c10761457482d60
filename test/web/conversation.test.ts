/** The fold from frames to a view, and that a history of any age continued by frames ends the same. */
import fc from "fast-check";
import { expect, test } from "vitest";
import type { EventFrame } from "../../schemas/frames.ts";
import { empty_view, fold, followFrom, type View, viewOf } from "../../web/conversation.ts";
import { branches, leafBelow, pathToHead, textOf } from "../../web/tree.ts";
import { newTale, type Tale } from "./scripted-tale.ts";

function idMaker(): () => string {
  let last = 0;
  return () => `00000000-0000-4000-8000-${String(++last).padStart(12, "0")}`;
}
const conversation = "00000000-0000-4000-8000-00000000ffff";

function tell(tale: Tale, ids: () => string, step: string): void {
  const head = tale.conversation().head ?? "";
  if (step === "send" || step === "begin") {
    tale.command({ type: "send", id: ids(), conversation, text: "question" });
    if (step === "begin" && tale.conversation().turn === null) tale.begin();
  } else if (step === "edit") {
    const message = tale.messages().find(({ role }) => role === "user")?.id;
    if (message !== undefined) {
      tale.command({ type: "edit", id: ids(), conversation, message, text: "edited" });
    }
  } else if (step === "token") tale.token("word ");
  else if (step === "restart") tale.restart();
  else if (step === "finish") tale.finish("turn.completed");
  else if (step === "title" && head !== "") {
    tale.event({ type: "conversation.titled", title: `t${String(tale.revision)}`, source: "self" });
  }
}
const steps = fc.array(
  fc.constantFrom("send", "begin", "begin", "token", "token", "restart", "finish", "edit", "title"),
  { minLength: 2, maxLength: 30 },
);
const plain = (view: View): object => ({
  ...view,
  known: 0,
  placed: null,
  messages: Object.fromEntries(view.messages),
});

test("I7: a history continued by frames ends as the frames alone do, wherever it was taken", () => {
  fc.assert(
    fc.property(steps, fc.nat(30), (script, cut) => {
      const ids = idMaker();
      const tale = newTale(conversation, ids);
      tell(tale, ids, "begin");
      for (const step of script.slice(0, cut)) tell(tale, ids, step);
      const stored = tale.conversation();
      for (const step of script.slice(cut, cut + 2)) tell(tale, ids, step);
      const messages = tale.messages(); // read a little later than the conversation
      for (const step of script.slice(cut + 2)) tell(tale, ids, step);
      tale.finish("turn.completed");
      const whole = tale.lines.reduce(fold, empty_view);
      const revision = followFrom(stored, messages);
      const resumed = tale.replay({ revision }).reduce(fold, viewOf(stored, messages));
      expect(plain(resumed)).toEqual(plain(whole));
    }),
    { numRuns: 300 },
  );
});

test("I5: a restart voids what the lower attempt wrote", () => {
  const ids = idMaker();
  const tale = newTale(conversation, ids);
  tell(tale, ids, "begin");
  tale.token("lost");
  tale.restart();
  tale.token("kept");
  const view = tale.lines.reduce(fold, empty_view);
  const answer = pathToHead(view).at(-1);
  expect(answer === undefined ? null : textOf(view, answer)).toBe("kept");
  const late = {
    type: "token",
    conversation,
    turn: answer?.turn ?? "",
    attempt: 1,
    seq: 9,
    content: "late",
  } as const;
  expect(fold(view, late)).toBe(view);
});

test("I5: a settled answer stays as it ended", () => {
  const ids = idMaker();
  const tale = newTale(conversation, ids);
  tell(tale, ids, "begin");
  tale.token("whole");
  tale.finish("turn.completed");
  const view = tale.lines.reduce(fold, empty_view);
  expect(plain(tale.lines.reduce(fold, { ...view, known: tale.revision }))).toEqual(plain(view));
});

test("branches of a message are its siblings, and choosing one leads to its newest leaf", () => {
  const ids = idMaker();
  const tale = newTale(conversation, ids);
  tell(tale, ids, "begin");
  tale.finish("turn.completed");
  tell(tale, ids, "edit");
  const view = tale.lines.reduce(fold, empty_view);
  const [shown] = pathToHead(view);
  const [original, edited] = shown === undefined ? [] : branches(view, shown);
  expect([original?.text, edited?.text]).toEqual(["question", "edited"]);
  expect(leafBelow(view, original?.id ?? "")).not.toBe(original?.id);
  expect(pathToHead(view)).toHaveLength(1);
});

test("a failure keeps its code, a redacted event changes nothing", () => {
  const ids = idMaker();
  const tale = newTale(conversation, ids);
  tell(tale, ids, "begin");
  tale.finish("turn.failed", "model_timeout");
  const view = tale.lines.reduce(fold, empty_view);
  expect(pathToHead(view).at(-1)).toMatchObject({
    status: "failed",
    error: { code: "model_timeout" },
  });
  const hidden: EventFrame = {
    type: "event",
    conversation,
    revision: 99,
    at: "",
    event: { type: "model.attempted", redacted: true },
  };
  expect(fold(view, hidden)).toBe(view);
});
