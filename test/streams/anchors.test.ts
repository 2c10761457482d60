/** Anchors on a real server: made, made again after anything, and checked against another history. */
import { hash } from "node:crypto";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { empty_head } from "../../schemas/commit.ts";
import { workspaceRef } from "../../schemas/ids.ts";
import { all_events, eventFilter, eventSubject } from "../../schemas/subjects.ts";
import { type Anchor, lastAnchor, readAnchors } from "../../streams/proof/anchors.ts";
import { openRounds, type RoundParts } from "../../streams/proof/anchor-rounds.ts";
import { merkleTree } from "../../streams/proof/merkle.ts";
import { readStored } from "../../streams/log/stored-commits.ts";
import { verifyAnchors } from "../../streams/proof/verify-anchors.ts";
import { randomOf } from "../simulation/random.ts";
import { type Desk, openDesk } from "./anchoring-desk.ts";
import { all, draft, newRef, startSystem, type System, titled } from "./system.ts";

test("the tree is that of RFC 6962, by the vectors of Certificate Transparency", () => {
  const inputs = ["", "00", "10", "2021", "3031", "40414243", "5051525354555657"].concat(
    "606162636465666768696a6b6c6d6e6f",
  );
  const roots = [
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
  ];
  const tree = merkleTree();
  expect(tree.root()).toBe(hash("sha256", ""));
  for (const [at, input] of inputs.entries()) {
    tree.add(Buffer.from(input, "hex").toString("latin1"));
    expect(tree.root()).toBe(roots[at]);
  }
});

describe("on a log", () => {
  let system: System;
  let desk: Desk;
  beforeEach(async () => {
    system = await startSystem();
    desk = openDesk(system);
  });
  afterEach(() => system.stop());

  const round = async (parts: RoundParts = desk.parts): Promise<Anchor[]> => {
    const made: Anchor[] = [];
    const rounds = await openRounds(parts);
    expect(await rounds.next((anchor) => made.push(anchor))).toBe(true);
    return made;
  };
  const verify = (root: string | null = null, tenant: string | null = null) =>
    verifyAnchors(system.streams, { tenant, root });
  const tenantsOf = (anchors: readonly Anchor[]): string[] =>
    anchors.map(({ tenant }) => tenant).sort();

  test("I3: one root for each tenant with changes, over its own chains, and none without", async () => {
    const [one, two, other] = [newRef("acme"), newRef("acme"), newRef("globex")];
    for (const ref of [one, two, one, other]) await desk.grow(ref);
    const made = await round();
    expect(tenantsOf(made)).toEqual(["acme", "globex"]);
    const both = { from: 1, sequence: 4 };
    expect(made).toContainEqual(
      expect.objectContaining({ ...both, tenant: "acme", chains: 2, commits: 3 }),
    );
    expect(made).toContainEqual(
      expect.objectContaining({ ...both, tenant: "globex", chains: 1, commits: 1 }),
    );
    // Anchors alone are no change.
    expect(await round()).toEqual([]);
    expect(await round()).toEqual([]);
    await desk.grow(two);
    const [next] = await round();
    // The workspace itself is among its leaves, so the root speaks for all anchors before it.
    expect(next).toMatchObject({ tenant: "acme", chains: 2, commits: 2, from: 5 });
    expect(next?.previous).toBe(made.find(({ tenant }) => tenant === "acme")?.root);
    expect(await verify(next?.root)).toMatchObject({
      ...{ anchors: 3, tenants: 2, faulty: 0, found: { root: next?.root } },
    });
    expect(desk.problems).toEqual([]);
  });

  test("whoever reads to the end has seen all that the leader had then, and a replica had not", async () => {
    const [one, other] = [newRef("acme"), newRef("globex")];
    await desk.grow(one);
    const seen: number[] = [];
    const filter = eventFilter({ tenant: "acme" });
    for await (const { sequence } of readStored(system.streams, { after: 0, until: 5, filter })) {
      seen.push(sequence);
      // Stored behind what the reader's consumer knew of.
      if (sequence === 1) for (const ref of [other, one, other, one, one]) await desk.grow(ref);
    }
    expect(seen).toEqual([1, 3, 5]);
  });

  test("I3: an anchor stays true when others' rounds passed its tenant by", async () => {
    const [acme, globex] = [newRef("acme"), newRef("globex")];
    await desk.grow(acme);
    const rounds = await openRounds(desk.parts);
    await rounds.next();
    for (let more = 0; more < 3; more++) {
      await desk.grow(globex);
      await rounds.next();
    }
    await desk.grow(acme);
    await rounds.next();
    expect((await verify()).faults).toEqual([]);
    // A process that begins anew goes on there.
    await desk.grow(acme);
    const again = await openRounds(desk.parts);
    expect(again.settled()).toBeGreaterThan(1);
    await again.next();
    expect(await verify()).toMatchObject({ anchors: 6, faulty: 0 });
  });

  test("a process that makes one round and ends leaves no more to read than the last round", async () => {
    const refs = ["acme", "globex"].map((tenant) => newRef(tenant));
    const begun: number[] = [];
    for (let more = 0; more < 4; more++) {
      for (const ref of refs) await desk.grow(ref);
      const rounds = await openRounds(desk.parts);
      begun.push(rounds.settled());
      await rounds.next();
    }
    // Two commits and two anchors each time: the last of them are read again.
    expect(begun).toEqual([0, 0, 4, 8]);
    expect(await verify()).toMatchObject({ anchors: 8, faulty: 0 });
    await system.log.append(
      { ...draft(workspaceRef("initech"), [titled("nothing of a workspace's")]) },
      empty_head,
    );
    await system.streams.js.publish(eventSubject(workspaceRef("umbrella")), "{}");
    // What cannot be read of one tenant is said, and the others go on.
    for (const ref of refs) await desk.grow(ref);
    const rounds = await openRounds(desk.parts);
    expect(desk.problems[0]).toContain("a tenant is not anchored yet: DamagedCommit");
    const made: Anchor[] = [];
    expect(await rounds.next((anchor) => made.push(anchor))).toBe(false);
    expect(tenantsOf(made)).toEqual(["acme", "globex"]);
  });

  test("an export is a change", async () => {
    await desk.exported("acme");
    expect(tenantsOf(await round())).toEqual(["acme"]);
    await desk.exported("acme");
    expect(tenantsOf(await round())).toEqual(["acme"]);
    expect((await lastAnchor(system.streams, "acme"))?.from).toBe(2);
    await desk.exported("acme");
    // The last commit of the workspace is no anchor.
    expect((await lastAnchor(system.streams, "acme"))?.from).toBe(2);
    expect(await verify()).toMatchObject({ anchors: 2, faulty: 0 });
    expect(await lastAnchor(system.streams, "globex")).toBeNull();
  });

  test("I11: a long log is anchored in parts, and checked in parts", async () => {
    const refs = Array.from({ length: 9 }, (_, at) => newRef(at % 2 === 0 ? "acme" : "globex"));
    for (const ref of [...refs, ...refs]) await desk.grow(ref);
    const made = await round({ ...desk.parts, chains_max: 4 });
    expect(made.length).toBeGreaterThan(6);
    expect(made.every(({ chains }) => chains <= 4)).toBe(true);
    const end = await system.log.lastSequence();
    for (const tenant of ["acme", "globex"]) {
      expect((await lastAnchor(system.streams, tenant))?.sequence).toBe(18);
    }
    expect(end).toBe(18 + made.length);
    for (const anchors_max of [1, 3, 1_000]) {
      const report = await verifyAnchors(system.streams, { tenant: null, root: null, anchors_max });
      expect(report).toMatchObject({ anchors: made.length, faulty: 0 });
    }
    const one = await verify(null, "acme");
    expect(one).toMatchObject({ tenants: 1, faulty: 0 });
    expect(one.anchors).toBe(made.filter(({ tenant }) => tenant === "acme").length);
  });

  test("a tenant that takes no anchor holds nobody up, and is made good", async () => {
    const [acme, globex] = [newRef("acme"), newRef("globex")];
    const rounds = await openRounds(desk.parts);
    desk.deaf.add("acme");
    const made: Anchor[] = [];
    for (let more = 0; more < 3; more++) {
      await desk.grow(acme);
      await desk.grow(globex);
      expect(await rounds.next((anchor) => made.push(anchor))).toBe(false);
    }
    expect(tenantsOf(made)).toEqual(["globex", "globex", "globex"]);
    expect(rounds.settled()).toBe(0);
    expect(desk.problems[0]).toContain("a tenant is not anchored yet: AppError: deaf");
    // Whoever begins anew meanwhile finds out what waits.
    const others = await openRounds(desk.parts);
    expect(others.settled()).toBe(0);
    desk.deaf.clear();
    expect(await others.next((anchor) => made.push(anchor))).toBe(true);
    expect(await rounds.next((anchor) => made.push(anchor))).toBe(true);
    expect(tenantsOf(made)).toEqual(["acme", "globex", "globex", "globex"]);
    expect(made.at(-1)).toMatchObject({ tenant: "acme", from: 1, chains: 1, commits: 3 });
    expect((await verify()).faults).toEqual([]);
  });

  test("two that anchor at once are harmless", async () => {
    const refs = ["acme", "globex", "initech"].map((tenant) => newRef(tenant));
    const both = [await openRounds(desk.parts), await openRounds(desk.parts)];
    for (let more = 0; more < 4; more++) {
      for (const ref of refs) await desk.grow(ref);
      await Promise.all(both.map((rounds) => rounds.next()));
    }
    const anchors = await all(readAnchors(system.streams, { tenant: null, until: 1e9 }));
    expect(anchors.length).toBeGreaterThanOrEqual(12);
    expect((await verify()).faults).toEqual([]);
  });

  test.each([1, 2, 3])(
    "I3: every commit is under exactly one anchor (random history %i)",
    async (seed) => {
      const random = randomOf(seed);
      const refs = ["acme", "globex", "initech"].flatMap((tenant) => [
        newRef(tenant),
        newRef(tenant),
      ]);
      let rounds = await openRounds(desk.parts);
      for (let step = 0; step < 120; step++) {
        const roll = random.share();
        const ref = random.pick(refs) ?? newRef();
        if (roll < 0.6) await desk.grow(ref);
        else if (roll < 0.65) await desk.exported(ref.tenant).catch(() => undefined);
        else if (roll < 0.7) desk.deaf.add(ref.tenant);
        else if (roll < 0.75) desk.deaf.clear();
        else if (roll < 0.85) {
          rounds = await openRounds({ ...desk.parts, chains_max: random.between(2, 5) });
        } else await rounds.next();
      }
      desk.deaf.clear();
      expect(await rounds.next()).toBe(true);
      expect((await verify()).faults).toEqual([]);
      // None waits: what is behind the last anchor of each tenant is anchors.
      expect(await (await openRounds(desk.parts)).next()).toBe(true);
      const end = await system.log.lastSequence();
      await rounds.next();
      expect(await system.log.lastSequence()).toBe(end);
    },
  );

  describe("against a history that was written anew", () => {
    let forged: System;
    beforeEach(async () => {
      forged = await startSystem();
    });
    afterEach(() => forged.stop());

    /** Copies the log byte by byte; `change` may make other bytes of a message, or none. */
    const copy = async (change: (bytes: Buffer, subject: string) => Buffer | null) => {
      const until = await system.log.lastSequence();
      const range = { after: 0, until, filter: all_events };
      for await (const { subject, data } of readStored(system.streams, range)) {
        const bytes = change(Buffer.from(data), subject);
        if (bytes !== null) await forged.streams.js.publish(subject, bytes);
      }
    };
    /** Another valid chain in place of one: the first commit says another thing, and all follow. */
    const rewriting = (id: string) => {
      let prev: string | null = null;
      return (bytes: Buffer, subject: string): Buffer => {
        if (!subject.endsWith(id)) return bytes;
        const commit = JSON.parse(bytes.toString()) as { by: object; prev: string };
        const made =
          prev === null ? { ...commit, by: { type: "user", id: "eve" } } : { ...commit, prev };
        const written = Buffer.from(JSON.stringify(made));
        prev = hash("sha256", written);
        return written;
      };
    };
    const check = (root: string | null) => verifyAnchors(forged.streams, { tenant: null, root });

    test("I3: another chain under the same anchors is found, and where", async () => {
      const [victim, bystander] = [newRef("acme"), newRef("globex")];
      for (const ref of [bystander, victim, bystander, victim]) await desk.grow(ref);
      await round();
      await desk.grow(bystander);
      await desk.grow(victim);
      const kept = (await round()).find(({ tenant }) => tenant === "acme");
      await copy(rewriting(victim.id));
      // The chain itself is whole.
      expect(
        (await all(forged.log.read(victim, { revision: 0, sequence: 0, hash: "0".repeat(64) })))
          .length,
      ).toBe(3);
      const report = await check(kept?.root ?? "");
      expect(report.faulty).toBe(2);
      expect(report.found?.root).toBe(kept?.root);
      expect(report.faults.map(({ tenant }) => tenant)).toEqual(["acme", "acme"]);
      expect(report.faults[0]?.reason).toMatch(/^from sequence 1 to 4 the log is not what it was/);
      expect(report.faults[1]?.reason).toMatch(/^from sequence 5 to 8 /);
    });

    test("I3: a log that fits itself, anchors and all, is found by a root that was kept", async () => {
      const victim = newRef("acme");
      for (let more = 0; more < 3; more++) await desk.grow(victim);
      const [kept] = await round();
      const change = rewriting(victim.id);
      await copy((bytes, subject) =>
        subject.includes("workspace") ? null : change(bytes, subject),
      );
      const [made] = await round({ ...openDesk(forged).parts });
      expect(made).toMatchObject({
        from: kept?.from,
        sequence: kept?.sequence,
        chains: kept?.chains,
      });
      expect(await check(null)).toMatchObject({ anchors: 1, faulty: 0 });
      const report = await check(kept?.root ?? "");
      expect(report).toMatchObject({ faulty: 1, found: null });
      expect(report.faults[0]?.reason).toBe(`no anchor of this log has the root ${kept?.root}`);
    });

    test("I3: commits that are missing, and anchors that are damaged or left out, are found", async () => {
      const victim = newRef("acme");
      for (let more = 0; more < 3; more++) {
        await desk.grow(victim);
        await desk.grow(victim);
        await round();
      }
      let place = 0;
      await copy((bytes, subject) => {
        place += 1;
        if (place === 2) return null;
        if (!subject.includes("workspace")) return bytes;
        if (place === 3) return bytes;
        return place === 6 ? Buffer.from("{}") : bytes;
      });
      const { faults } = await check(null);
      expect(faults.map(({ written }) => written)).toContain(5);
      const reasons = faults.map(({ reason }) => reason).join("\n");
      expect(reasons).toContain("it begins at sequence 6, and the one before ended at 2");
      expect(reasons).toContain("from sequence 1 to 2 the log is not what it was");
    });
  });
});
