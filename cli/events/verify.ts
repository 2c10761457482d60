/**
 * `colloquy events verify`: proves that the log is whole, or says where it is not. It asks for no key,
 * and asks whoever else remembers the log: snapshots, the `head` file, and the database when there is
 * one.
 */
import { existsSync } from "node:fs";
import { join } from "node:path";
import { checkpointWitnesses } from "../../projections/witnesses.ts";
import type { Finding } from "../../streams/proof/state.ts";
import { type Verified, verify } from "../../streams/proof/verify.ts";
import { snapshotWitnesses, type Witness } from "../../streams/proof/witnesses.ts";
import type { Streams } from "../../streams/connection.ts";
import { verifyAnchors } from "../../streams/proof/verify-anchors.ts";
import type { EventScope } from "../../schemas/subjects.ts";
import type { Arguments } from "../line/arguments.ts";
import { type Config, readConfig } from "../config.ts";
import { headWitness, knownDamage } from "../folder/head-file.ts";
import { type Installation, openInstallation, pathOf } from "../folder/installation.ts";
import { complain, printable, reason, say } from "../line/terminal.ts";
import { openProgress } from "./progress.ts";
import { scopeOf, wrong } from "./scope.ts";

/** What is printed of a log that is badly broken; --json has more. */
const lines_max = 20;

export async function runVerify(given: Arguments): Promise<number> {
  const scope = scopeOf(given);
  const root = given.value("anchor") ?? null;
  if (root !== null && !/^[0-9a-f]{64}$/.test(root)) wrong("--anchor is a root of 64 hex digits.");
  const config = readConfig({ COLLOQUY_DATA: given.value("data") });
  const installation = await openInstallation(config);
  const progress = openProgress(!given.on("json"));
  try {
    const { streams } = installation;
    const folder = config.get("NATS_URL") === null ? pathOf(config) : null;
    const { witnesses, unasked } = await remembered(installation, config, folder);
    const url = config.get("NATS_URL") ?? `nats://${streams.nc.getServer()}`;
    const asked = { scope, witnesses, url, judged: folder !== null, progress: progress.draw };
    const verified = await verify(streams, asked);
    const known = folder === null ? null : knownDamage(folder);
    const findings = [...(known === null ? [] : [lost(known)]), ...verified.findings];
    const anchored = await anchors(streams, scope, root, findings.length === 0, progress.draw);
    progress.end();
    findings.push(...anchored.findings);
    const total = findings.length - verified.findings.length + verified.findings_total;
    const report = { verified, findings, total, anchors: anchored.checked, unasked };
    if (given.on("json")) {
      const { ms, ...counts } = verified;
      const events_per_s = Math.round((verified.events / ms) * 1_000);
      const more = { anchors: anchored.checked, findings, findings_total: total };
      say(JSON.stringify({ whole: total === 0, ...counts, ms, events_per_s, ...more }));
    } else tell(report);
    return total === 0 ? 0 : 1;
  } finally {
    progress.end();
    await installation.close();
  }
}

const lost = (sentence: string): Finding => ({ what: "lost", sentence });

/**
 * What the anchors say that stand in the log, or one that was kept elsewhere. They are made of the
 * chains of whole tenants, so an actor's or a kind's alone does not ask them; and where chains do not
 * hold, they would only say so again.
 */
async function anchors(
  streams: Streams,
  { tenant, kind, id }: EventScope,
  root: string | null,
  sound: boolean,
  progress: (read: number, of: number) => void,
): Promise<{ readonly checked: number; readonly findings: readonly Finding[] }> {
  if (kind !== undefined || id !== undefined || !sound) {
    const asked =
      root === null || !sound
        ? []
        : [lost("Anchors are made of whole tenants: ask without --kind and --id.")];
    return { checked: 0, findings: asked };
  }
  const question = { tenant: tenant ?? null, root, onProgress: progress };
  const { anchors: checked, faults } = await verifyAnchors(streams, question);
  const findings = faults.map(({ tenant: of, written, reason: why }): Finding => {
    const where = written === null ? {} : { first: written, last: written };
    const whose = of === null ? "" : `${of}: `;
    return { what: "anchor", ...where, sentence: `${whose}${why}.` };
  });
  return { checked, findings };
}

/** Whoever remembers the log: asked before the log is, so that none can be ahead of a log that grows. */
async function remembered(
  installation: Installation,
  config: Config,
  folder: string | null,
): Promise<{ witnesses: readonly Witness[]; unasked: string | null }> {
  const head = folder === null ? null : headWitness(folder);
  const witnesses: Witness[] = head === null ? [] : [head];
  witnesses.push(...(await snapshotWitnesses(installation.streams)));
  const there =
    config.get("DATABASE_URL") !== null ||
    (folder !== null && existsSync(join(folder, "postgres")));
  if (!there) return { witnesses, unasked: "there is no database" };
  try {
    const database = await installation.database();
    return { witnesses: [...witnesses, ...(await checkpointWitnesses(database))], unasked: null };
  } catch (error) {
    return { witnesses, unasked: reason(error) };
  }
}

interface Told {
  readonly verified: Verified;
  readonly findings: readonly Finding[];
  readonly total: number;
  readonly anchors: number;
  readonly unasked: string | null;
}

function tell({ verified, findings, total, anchors, unasked }: Told): void {
  const { actors, commits, events, last, ms, witnesses } = verified;
  const number = (count: number): string => count.toLocaleString("en-US");
  const rate = number(Math.round((events / ms) * 1_000));
  for (const { sentence } of findings.slice(0, lines_max)) say(printable(sentence));
  if (total > lines_max) say(`… and ${number(total - lines_max)} more.`);
  say(
    `${number(commits)} commits with ${number(events)} events of ${number(actors)} actors, up to ${number(last)}, in ${(ms / 1_000).toFixed(1)} s (${rate} events/s)`,
  );
  say(
    `${number(witnesses)} others that remember the log were asked, and ${number(anchors)} anchors.`,
  );
  if (unasked !== null) complain(`The read models were not asked: ${printable(unasked)}`);
  say(total === 0 ? "The log is whole." : "The log is NOT whole.");
}
