/** Who may do what with a conversation that is shared: every command, by everybody, and the limits. */
import { describe, expect, test } from "vitest";
import type { CommandData, ConversationCommand } from "../../schemas/commands.ts";
import { type DomainEvent, event } from "../../schemas/events.ts";
import { limits } from "../../schemas/limits.ts";
import { type Otherwise, situations, when } from "./decisions.ts";

const share = (user: string, role: "editor" | "viewer"): DomainEvent =>
  event("conversation.shared", { user, role });
const shared = [...situations.running, share("ed", "editor"), share("vi", "viewer")];
const as = (id: string): Otherwise => ({ by: { type: "user", id } });

type Name = "create" | "send" | "edit" | "regenerate" | "cancel" | "update" | "delete" | "share";
const data: { [N in Name | "unshare" | "rate"]: CommandData<N> } = {
  ...{ create: {}, send: { text: "q" }, edit: { message: "u", text: "q" }, cancel: {} },
  ...{ regenerate: { message: "t0-m" }, update: { title: "t" }, delete: {} },
  ...{ share: { user: "eve", role: "viewer" }, unshare: { user: "vi" } },
  rate: { message: "t0-m", rating: "up" },
};
const names = Object.keys(data) as (keyof typeof data)[]; // keys of a literal
const refusal = (name: ConversationCommand["name"] & keyof typeof data, who: string): string => {
  const { said } = when(shared, name, data[name], as(who));
  return said.startsWith("refused ") ? said.slice("refused ".length) : "";
};
const may = (who: string): string[] => names.filter((name) => refusal(name, who) === "");

describe("what each may do", () => {
  test("I10: owner, editor, viewer and stranger", () => {
    expect(may("ann")).toEqual(names);
    expect(may("ed")).toEqual(["send", "edit", "cancel", "regenerate", "rate"]);
    expect(may("vi")).toEqual(["rate"]);
    expect(may("eve")).toEqual([]);
    for (const name of names) expect(refusal(name, "eve")).toBe("not_found");
    for (const name of ["send", "delete", "unshare"] as const) {
      expect(refusal(name, "vi")).toBe("forbidden");
    }
  });

  test("an editor moves the head, and changes nothing else with it", () => {
    expect(when(shared, "update", { head: "u" }, as("ed")).said).toBe("head.moved");
    expect(when(shared, "update", { head: "u", title: "t" }, as("ed")).said).toBe(
      "refused forbidden",
    );
    expect(when(shared, "update", { head: "u" }, as("vi")).said).toBe("refused forbidden");
  });

  test("another role, and none", () => {
    const promoted = [...shared, share("vi", "editor")];
    expect(when(promoted, "send", data.send, as("vi")).said).toContain("message.added");
    const left = [...promoted, event("conversation.unshared", { user: "vi" })];
    expect(when(left, "send", data.send, as("vi")).said).toBe("refused not_found");
    expect(when(left, "unshare", { user: "vi" }).said).toBe("");
  });

  test("what an integration began belongs to those who manage the tenant", () => {
    const [begun, ...rest] = shared;
    if (begun?.type !== "conversation.started") throw new Error("it begins otherwise");
    const theirs = [event("conversation.started", { ...begun.data, owner: null }), ...rest];
    expect(when(theirs, "delete", {}, as("amy")).said).toBe("refused not_found");
    const manager = { ...as("amy"), manages: true };
    expect(when(theirs, "share", data.share, manager).said).toBe("conversation.shared");
    expect(when(theirs, "send", data.send, as("ed")).said).toContain("message.added");
    // What a person began is that person's, also for them.
    expect(when(shared, "delete", {}, manager).said).toBe("refused not_found");
  });
});

describe("shares", () => {
  test("are said once, and never of its owner", () => {
    expect(when(shared, "share", { user: "ed", role: "editor" }).said).toBe("");
    expect(when(shared, "share", { user: "ed", role: "viewer" }).said).toBe("conversation.shared");
    expect(when(shared, "share", { user: "ann", role: "viewer" }).said).toBe("refused bad_request");
    expect(when(shared, "unshare", { user: "ann" }).said).toBe("");
  });

  test("I10: a user id that every object knows is a user id", () => {
    for (const user of ["constructor", "toString", "hasOwnProperty", "valueOf", "1"]) {
      expect(when(shared, "send", data.send, as(user)).said, user).toBe("refused not_found");
      const theirs = [...shared, share(user, "editor")];
      expect(when(theirs, "send", data.send, as(user)).said, user).toContain("message.added");
      const gone = [...theirs, event("conversation.unshared", { user })];
      expect(when(gone, "send", data.send, as(user)).said, user).toBe("refused not_found");
    }
  });

  test("I11: are as many as the limit says; a place that is free again can be taken", () => {
    const users = Array.from({ length: limits.shares_per_conversation_max }, (_, at) => `u${at}`);
    const full = [...situations.idle, ...users.map((user) => share(user, "viewer"))];
    expect(when(full, "share", { user: "more", role: "viewer" }).said).toBe(
      "refused too_many_shares",
    );
    expect(when(full, "share", { user: "u7", role: "editor" }).said).toBe("conversation.shared");
    const free = [...full, event("conversation.unshared", { user: "u7" })];
    expect(when(free, "share", { user: "more", role: "viewer" }).said).toBe("conversation.shared");
  });
});

describe("ratings", () => {
  test("are of answers, and of people", () => {
    expect(when(shared, "rate", { message: "u", rating: "up" }).said).toBe(
      "refused message_not_found",
    );
    expect(when(shared, "rate", { message: "none", rating: "up" }).said).toBe(
      "refused message_not_found",
    );
    const by = { type: "integration", id: "key" } as const;
    expect(when(shared, "rate", data.rate, { by }).said).toBe("refused forbidden");
    expect(when(shared, "rate", { message: "t0-m", rating: null }, as("vi")).events).toEqual([
      event("message.rated", { message: "t0-m", rating: null, comment: "" }),
    ]);
  });

  test("I11: readers who rate cannot fill a conversation", () => {
    const rated = event("message.rated", { message: "t0-m", rating: "up", comment: "" });
    const many = Array.from({ length: limits.ratings_per_conversation_max }, () => rated);
    const full = [...shared, ...many];
    expect(when(full, "rate", data.rate, as("vi")).said).toBe("refused conversation_full");
    expect(when(full, "send", data.send, as("ed")).said).toContain("message.added");
  });
});
