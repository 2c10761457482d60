/**
 * `colloquy events verify`: proves that the log is whole, or says where it is not. It asks for no key,
 * and asks whoever else remembers the log: snapshots, the `head` file, and the database when there is
 * one.
 */
import { existsSync } from "node:fs";
import { join } from "node:path";
import { checkpointWitnesses } from "../../projections/witnesses.ts";
import type { Finding } from "../../streams/audit/state.ts";
import { type Verified, verify } from "../../streams/audit/verify.ts";
import { snapshotWitnesses, type Witness } from "../../streams/audit/witnesses.ts";
import type { Arguments } from "../arguments.ts";
import { type Config, readConfig } from "../config.ts";
import { headWitness, knownDamage } from "../head-file.ts";
import { type Installation, openInstallation, pathOf } from "../installation.ts";
import { complain, printable, reason, say } from "../terminal.ts";
import { scopeOf } from "./scope.ts";

/** What is printed of a log that is badly broken; --json has more. */
const lines_max = 20;

export async function runVerify(given: Arguments): Promise<number> {
  const scope = scopeOf(given);
  const config = readConfig({ COLLOQUY_DATA: given.value("data") });
  const installation = await openInstallation(config);
  try {
    const { streams } = installation;
    const folder = config.get("NATS_URL") === null ? pathOf(config) : null;
    const { witnesses, unasked } = await remembered(installation, config, folder);
    const shown = process.stderr.isTTY && !given.on("json");
    const verified = await verify(streams, {
      ...{ scope, witnesses, judged: folder !== null },
      url: config.get("NATS_URL") ?? `nats://${streams.nc.getServer()}`,
      ...(shown ? { progress: drawProgress } : {}),
    });
    if (shown) process.stderr.write("\r\u001b[K");
    const known = folder === null ? null : knownDamage(folder);
    const findings: readonly Finding[] = [
      ...(known === null ? [] : [{ what: "lost", sentence: known } as const]),
      ...verified.findings,
    ];
    const total = findings.length - verified.findings.length + verified.findings_total;
    if (given.on("json")) {
      const { ms, ...counts } = verified;
      const events_per_s = Math.round((verified.events / ms) * 1_000);
      const whole = total === 0;
      say(JSON.stringify({ whole, ...counts, ms, events_per_s, findings, findings_total: total }));
    } else tell(verified, findings, total, unasked);
    return total === 0 ? 0 : 1;
  } finally {
    await installation.close();
  }
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

function tell(
  verified: Verified,
  findings: readonly Finding[],
  total: number,
  unasked: string | null,
): void {
  const { actors, commits, events, last, ms, witnesses } = verified;
  const number = (count: number): string => count.toLocaleString("en-US");
  const rate = number(Math.round((events / ms) * 1_000));
  for (const { sentence } of findings.slice(0, lines_max)) say(printable(sentence));
  if (total > lines_max) say(`… and ${number(total - lines_max)} more.`);
  say(
    `${number(commits)} commits with ${number(events)} events of ${number(actors)} actors, up to ${number(last)}, in ${(ms / 1_000).toFixed(1)} s (${rate} events/s); ${number(witnesses)} others that remember the log were asked.`,
  );
  if (unasked !== null) complain(`The read models were not asked: ${printable(unasked)}`);
  say(total === 0 ? "The log is whole." : "The log is NOT whole.");
}

let drawn_ms = 0;
const drawn_every_ms = 200;

function drawProgress(read: number, of: number): void {
  const now_ms = performance.now();
  if (now_ms - drawn_ms < drawn_every_ms) return;
  drawn_ms = now_ms;
  process.stderr.write(`\r${((100 * read) / Math.max(1, of)).toFixed(0)} % of ${of} commits`);
}
