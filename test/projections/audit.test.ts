/** The audit on both databases: every commit that matters once, and found by what it is asked for. */
import { beforeEach, describe, expect, test } from "vitest";
import type { Database } from "../../projections/postgres.ts";
import { audit } from "../../projections/projectors/audit.ts";
import type { AuditFilter } from "../../projections/queries/audit.ts";
import type { Queries } from "../../projections/queries/queries.ts";
import { type Commit, lastRevision } from "../../schemas/commit.ts";
import { event } from "../../schemas/events.ts";
import { AuditEntry } from "../../schemas/http.ts";
import type { ActorRef } from "../../schemas/ids.ts";
import { check } from "../../schemas/validate.ts";
import { dialects, openLanes, serve, wipe } from "./databases.ts";
import { erased, place, randomHistory, seeded, uuid } from "./history.ts";

const isEntry = check(AuditEntry).is;
const none: AuditFilter = {
  ...{ kind: null, actor: null, by: null, byType: null, type: null },
  ...{ command: null, trace: null, from: null, to: null },
};

/** What the audit must say of a history, newest first, by another way than the projector's. */
const expected = (history: readonly Commit[], tenant: string): AuditEntry[] =>
  history
    .filter(
      ({ ref, events }) =>
        ref.tenant === tenant && events.some(({ type }) => type !== "turn.checkpointed"),
    )
    .map((one) => ({
      ...{ kind: one.ref.kind, id: one.ref.id, revision: one.revision },
      ...{ lastRevision: lastRevision(one), sequence: one.sequence, at: one.at, by: one.by },
      actions: one.events
        .map(({ type }) => type)
        .filter((type, at, all) => all.indexOf(type) === at),
      ...{ command: one.command, commit: one.commit },
      traceId: one.traceparent === null ? null : (one.traceparent.split("-")[1] ?? null),
    }))
    .toReversed();

describe.each(dialects)("the audit on $name", ({ missing, start }) => {
  describe.skipIf(missing)("with a server", () => {
    let database: Database;
    let queries: Queries;
    serve(start, (opened) => ({ database, queries } = opened));
    beforeEach(() => wipe(database));

    const apply = async (history: readonly Commit[]): Promise<void> => {
      for (const lane of await openLanes(database, [audit])) {
        // In batches of all sizes: a row depends on its own commit alone.
        for (let at = 0, size = 1; at < history.length; at += size, size = (size * 3) % 97) {
          expect(await lane.apply(history.slice(at, at + size))).toEqual([]);
        }
      }
    };
    const all = async (filter: Partial<AuditFilter> = {}, limit = 200, tenant = "acme") => {
      const found: AuditEntry[] = [];
      let cursor: string | undefined;
      do {
        const page = await queries.audit({
          ...{ tenant, limit, filter: { ...none, ...filter } },
          ...(cursor === undefined ? {} : { cursor }),
        });
        found.push(...page.items);
        cursor = page.next ?? undefined;
      } while (cursor !== undefined);
      return found;
    };

    test("I8: it holds every commit but bare checkpoints, once, whatever is erased later", async () => {
      const history = signed(randomHistory(71, 400, 8));
      expect(history.some(({ events }) => events[0]?.type === "turn.checkpointed")).toBe(true);
      await apply(history);
      const entries = await all();
      expect(entries).toEqual(expected(history, "acme"));
      for (const entry of entries) expect(isEntry(entry), JSON.stringify(entry)).toBe(true);
      // Nothing that anybody wrote, whatever column it might hide in.
      const rows = JSON.stringify(await database.query("SELECT t::text FROM read.audit t"));
      const written = history.flatMap(({ events }) =>
        events.flatMap(({ data }) => ("text" in data && data.text.length > 8 ? [data.text] : [])),
      );
      expect(written.length).toBeGreaterThan(20);
      expect(written.filter((text) => rows.includes(text))).toEqual([]);
      await wipe(database);
      await apply(history.map(erased));
      expect(await all()).toEqual(entries);
    });

    test("every filter finds exactly its entries, page by page", async () => {
      const history = signed(randomHistory(73, 300, 6));
      await apply(history);
      const entries = expected(history, "acme");
      const [first] = history.filter(({ ref }) => ref.tenant === "acme");
      const traced = entries.find(({ traceId }) => traceId !== null);
      const middle = entries[150 % entries.length];
      if (first === undefined || traced === undefined || middle === undefined) throw new Error("?");
      const wishes: [Partial<AuditFilter>, (entry: AuditEntry) => boolean][] = [
        [{ actor: first.ref.id }, ({ id }) => id === first.ref.id],
        [{ actor: first.ref.id, kind: "document" }, () => false],
        [{ kind: "conversation" }, () => true],
        [{ by: "ann" }, ({ by }) => by.id === "ann"],
        [{ byType: "system" }, ({ by }) => by.type === "system"],
        [{ type: "conversation.deleted" }, (e) => e.actions.includes("conversation.deleted")],
        [{ type: "turn.started" }, (e) => e.actions.includes("turn.started")],
        [{ command: middle.command }, ({ command }) => command === middle.command],
        [{ trace: traced.traceId }, ({ traceId }) => traceId === traced.traceId],
        [{ from: middle.at }, ({ at }) => at >= middle.at],
        [{ to: middle.at }, ({ at }) => at < middle.at],
        [
          { from: middle.at, by: "ann", type: "message.added" },
          (e) => e.at >= middle.at && e.by.id === "ann" && e.actions.includes("message.added"),
        ],
      ];
      for (const [filter, holds] of wishes) {
        expect(await all(filter, 7), JSON.stringify(filter)).toEqual(entries.filter(holds));
      }
      expect(wishes.filter(([, holds]) => entries.some(holds)).length).toBe(wishes.length - 1);
    });

    test("I10: nothing of another tenant is found, by whatever name or cursor", async () => {
      const history = signed(randomHistory(79, 200, 6));
      await apply(history);
      const theirs = expected(history, "beta").find(({ traceId }) => traceId !== null);
      if (theirs === undefined) throw new Error("nothing of theirs");
      const { id, command } = theirs;
      for (const filter of [{ actor: id }, { command }, { trace: theirs.traceId }]) {
        expect(await all(filter)).toEqual([]);
        expect(await all(filter, 200, "beta")).toContainEqual(theirs);
      }
      const page = { tenant: "beta", filter: none, limit: 1 };
      const { next } = await queries.audit(page);
      const behind = await queries.audit({ ...page, tenant: "acme", cursor: next ?? "" });
      expect(expected(history, "acme")).toContainEqual(behind.items[0]);
      const forged = (...place: unknown[]): string =>
        Buffer.from(JSON.stringify(place)).toString("base64url");
      for (const cursor of [
        ...["", "x", forged("messages", 1), forged("audit"), forged("audit", "now", 1)],
        ...[
          forged("audit", theirs.at, 0),
          forged("audit", theirs.at, 2 ** 60),
          forged("audit", null, 1),
        ],
        forged("audit", "2026-99-99T00:00:00.000Z", 1),
      ]) {
        const asked = queries.audit({ ...page, cursor });
        await expect(asked, cursor).rejects.toMatchObject({ code: "bad_cursor" });
      }
    });

    test("two kinds may have the same id, and neither's entries hide the other's", async () => {
      const random = seeded(83);
      const id = uuid(random);
      const begun = event("conversation.started", {
        ...{ origin: "chat", owner: "ann", model: null, overlap: "queue" },
      });
      const refs: ActorRef[] = [
        { tenant: "acme", kind: "conversation", id },
        { tenant: "acme", kind: "document", id },
      ];
      await apply(refs.map((ref, at) => place(ref, [begun], 1, at + 1, "", random)));
      expect((await all({ actor: id })).map(({ kind }) => kind)).toEqual([
        "document",
        "conversation",
      ]);
      expect(await all({ actor: id, kind: "document" })).toHaveLength(1);
    });

    test("I8: it names the actors that are parked, whose later entries are missing", async () => {
      const history = randomHistory(89, 60, 3);
      await apply(history);
      const { ref } = history[0] ?? {};
      await database.query(
        `INSERT INTO colloquy.parked (tenant, kind, id, projector, version, generation, revision, sequence, reason)
         VALUES ($1, $2, $3, 'audit', 1, 1, 9, 9, 'unknown event')`,
        [ref?.tenant ?? "", ref?.kind ?? "", ref?.id ?? ""],
      );
      const parked = async (filter: Partial<AuditFilter>, tenant = ref?.tenant ?? "") =>
        (await queries.audit({ tenant, limit: 1, filter: { ...none, ...filter } })).parked;
      const one = { kind: ref?.kind, id: ref?.id };
      expect(await parked({})).toEqual([one]);
      expect(await parked({ actor: ref?.id ?? "", kind: "conversation" })).toEqual([one]);
      expect(await parked({ actor: uuid(seeded(1)) })).toEqual([]);
      expect(await parked({ kind: "document" })).toEqual([]);
      expect(await parked({}, "other")).toEqual([]);
      expect((await all()).length).toBeGreaterThan(0);
    });
  });
});

/** The same history by several people and workers, some of it traced. */
function signed(history: readonly Commit[]): Commit[] {
  const random = seeded(5);
  return history.map((commit, at) => ({
    ...commit,
    by:
      at % 4 === 0
        ? { type: "system", id: "worker-1" }
        : { type: "user", id: at % 3 === 0 ? "ann" : "bob" },
    traceparent:
      at % 5 === 0 ? `00-${uuid(random).replaceAll("-", "")}-${"1".repeat(16)}-01` : null,
  }));
}
