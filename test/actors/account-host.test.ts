/**
 * Accounts on a real nats-server, run by the same host as conversations: one address has one account
 * whoever is quicker, a refresh token is good once, and a deletion erases what names a person.
 */
import { hash } from "node:crypto";
import { afterEach, beforeEach, expect, test } from "vitest";
import { type CommandData, type CommandName, type Reply } from "../../schemas/commands.ts";
import { empty_head } from "../../schemas/commit.ts";
import { accountRef, type ActorRef, type By, systemIds, workspaceRef } from "../../schemas/ids.ts";
import { commandPublisher } from "../../streams/queue/commands.ts";
import { openReplies, type Replies } from "../../streams/live/replies.ts";
import { all, secret } from "../streams/system.ts";
import { startWorld, type World } from "./worker.ts";

const id = "5d41402a-bc4b-8a76-b971-9d911017c592";
const ref = accountRef(id);
const self: By = { type: "user", id };
const password = "$argon2id$v=19$m=19456,t=2,p=1$c2FsdA$aGFzaA";
const sha = (of: string): string => hash("sha256", of, "hex");
const expires = "2099-01-01T00:00:00.000Z";

let world: World;
let replies: Replies;
beforeEach(async () => {
  world = await startWorld();
  replies = openReplies(world.system.streams, systemIds());
});
afterEach(async () => {
  replies.stop();
  await world.stop();
});

/** Asks and waits for the answer. */
async function ask<N extends CommandName>(
  name: N,
  data: CommandData<N>,
  more: { readonly by?: By; readonly id?: string; readonly to?: ActorRef } = {},
): Promise<Reply> {
  const { by = self, id: command = systemIds(), to = ref } = more;
  const answered = new Promise<Reply>((resolve) => {
    const end = replies.on(command, (reply) => {
      end();
      resolve(reply);
    });
  });
  const reply = replies.subject(to.tenant);
  const publisher = commandPublisher(world.system.streams, secret);
  await publisher.publish({ ref: to, name, id: command, data, by, reply, traceparent: null });
  return answered;
}
const refused = (code: string) => ({ ok: false, error: { code } });
const done = { ok: true };
const log = async (of = ref) =>
  (await all(world.system.log.read(of, empty_head))).flatMap(({ events }) => events);
const register = (name: string) =>
  ask("register", { home: "main", email: "ann@example.org", name, password });
const open = (session: string) =>
  ask("open-session", { session, tenant: "main", token: sha("1"), expires, device: "Firefox" });
const refresh = (session: string, token: string, next: string, command = systemIds()) =>
  ask("refresh", { session, token: sha(token), next: sha(next), expires }, { id: command });

test("of two who register one address at once, one wins and the other reads email_taken", async () => {
  const workers = [await world.worker(), await world.worker()];
  const answers = await Promise.all([register("Ann"), register("Another")]);
  expect(answers.filter(({ ok }) => ok)).toHaveLength(1);
  expect(answers.filter(({ ok }) => !ok)).toMatchObject([refused("email_taken")]);
  expect(await log()).toHaveLength(1);
  expect(await register("A third")).toMatchObject(refused("email_taken"));
  for (const { problems } of workers) expect(problems).toEqual([]);
});

test("I2: of two refreshes at once one wins; who shows a used token is refused, again and again", async () => {
  const first = await world.worker();
  const session = systemIds();
  await register("Ann");
  await ask("join-tenant", { tenant: "main" });
  expect(await open(session)).toMatchObject(done);
  const command = systemIds();
  const won = await refresh(session, "1", "2", command);
  expect(won).toMatchObject(done);
  // The answer was lost: under the same id, and under another that names the same next token.
  expect(await refresh(session, "1", "2", command)).toEqual(won);
  expect(await refresh(session, "1", "2")).toMatchObject(done);
  const [one, other] = [systemIds(), systemIds()];
  const raced = await Promise.all([
    refresh(session, "2", "a", one),
    refresh(session, "2", "b", other),
  ]);
  expect(raced.filter(({ ok }) => ok)).toHaveLength(1);
  expect(raced.filter(({ ok }) => !ok)).toMatchObject([refused("refresh_reused")]);
  const loser = raced[0]?.ok === true ? other : one;
  expect((await log()).at(-1)).toMatchObject({
    ...{ type: "session.closed", data: { session, reason: "reused" } },
  });
  // That commit is the refusal, also for another worker that has read it from the log.
  const asked = (): Promise<Reply> => refresh(session, "2", "b", loser);
  expect(await asked()).toMatchObject(refused("refresh_reused"));
  await first.stop();
  const second = await world.worker();
  expect(await asked()).toMatchObject(refused("refresh_reused"));
  for (const next of ["a", "b", "2", "1"]) {
    expect(await refresh(session, next, "z")).toMatchObject(refused("unauthenticated"));
  }
  expect([...first.problems, ...second.problems]).toEqual([]);
});

test("a deletion ends the sessions and erases the content, and the address is never given again", async () => {
  const worker = await world.worker();
  await register("Ann");
  await ask("join-tenant", { tenant: "main" });
  await open(systemIds());
  expect(await ask("delete", {})).toMatchObject(refused("account_in_use"));
  await ask("leave-tenant", { tenant: "main" });
  expect(await ask("delete", {})).toMatchObject(done);
  await expect.poll(() => world.system.vault.erased(ref)).toBe(true);
  const events = await log();
  expect(events.map(({ type }) => type)).toEqual([
    ...["account.registered", "account.joined", "session.opened", "session.closed"],
    ...["account.left", "account.deleted"],
  ]);
  expect(events[0]?.data).toMatchObject({ home: "main", email: "", name: "", password: "" });
  expect(await register("Ann")).toMatchObject(refused("email_taken"));
  expect(await open(systemIds())).toMatchObject(refused("not_found"));
  expect(worker.problems).toEqual([]);
});

test("a workspace is opened once, joined by invitation, and never without an owner", async () => {
  const worker = await world.worker();
  const to = workspaceRef("main");
  const bob: By = { type: "user", id: "6d41402a-bc4b-8a76-b971-9d911017c592" };
  const of = { to, by: self };
  const raced = await Promise.all([
    ask("open", { name: "Main" }, of),
    ask("open", { name: "Mine" }, { to, by: bob }),
  ]);
  expect(raced.filter(({ ok }) => ok)).toHaveLength(1);
  expect(raced.filter(({ ok }) => !ok)).toMatchObject([refused("workspace_taken")]);
  const [owner, other] = raced[0]?.ok === true ? [self, bob] : [bob, self];
  const invitation = systemIds();
  const invite = { invitation, token: sha("t"), email: null, user: null, expires };
  expect(await ask("invite", { ...invite, role: "admin" }, { to, by: other })).toMatchObject(
    refused("forbidden"),
  );
  expect(await ask("invite", { ...invite, role: "admin" }, { to, by: owner })).toMatchObject(done);
  const join = (token: string) => ask("join", { invitation, token: sha(token) }, { to, by: other });
  expect(await join("guess")).toMatchObject(refused("invitation_invalid"));
  expect(await join("t")).toMatchObject(done);
  expect(await join("t")).toMatchObject(refused("already_member"));
  const change = (user: By, role: "owner" | "member", by: By) =>
    ask("change-member", { user: user.id, role }, { to, by });
  expect(await change(other, "owner", other)).toMatchObject(refused("forbidden"));
  expect(await change(owner, "member", owner)).toMatchObject(refused("last_owner"));
  expect(await ask("remove-member", { user: owner.id }, { to, by: owner })).toMatchObject(
    refused("last_owner"),
  );
  expect(await change(other, "owner", owner)).toMatchObject(done);
  // Two owners let each other go at once: one is left.
  const gone = await Promise.all([change(other, "member", owner), change(owner, "member", other)]);
  expect(gone.filter(({ ok }) => ok)).toHaveLength(1);
  expect(worker.problems).toEqual([]);
});
