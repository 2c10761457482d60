/**
 * `colloquy serve`: starts the servers it needs and the roles of this process, says when a turn would
 * work, and runs until it is told to end; then everything that it started is gone within 10 s.
 */
import { type Arguments, data_flag } from "./line/arguments.ts";
import type { Deed } from "./line/command.ts";
import { CliError, exit_usage } from "./line/cli-error.ts";
import { type Config, readConfig } from "./config.ts";
import { nearest } from "./line/nearest.ts";
import { openServices, type Services } from "./services.ts";
import { complain, type Problem, reporter, say } from "./line/terminal.ts";
import { type Role, roles, startSystem, type System } from "./wire.ts";

export const serve: Deed = {
  summary: "runs Colloquy",
  flags: {
    roles: `<list> of ${roles.join(", ")}; all of them when absent`,
    port: "<number> of the gateway, 8080 when absent; 0 takes a free one",
    host: "<address> to listen on, 127.0.0.1 when absent",
    ...data_flag,
  },
  run,
};

/** Longer than the drain and the servers' stop together take; then the process ends hard. */
const last_ms = 9_500;
const ready_ms = 20_000;

async function run(given: Arguments): Promise<number> {
  const config = readConfig({
    COLLOQUY_PORT: given.value("port"),
    COLLOQUY_HOST: given.value("host"),
    COLLOQUY_DATA: given.value("data"),
  });
  const wanted = rolesOf(given.value("roles"));
  const level = config.get("COLLOQUY_LOG") ?? "info";
  const report = reporter(level);
  const log = (line: string): void => {
    if (level === "debug") complain(line);
  };

  // A signal that comes while it starts ends it as soon as it stands.
  const { told, came } = endSignals();
  const { services, system } = await start(config, wanted, log, report);
  const stop = async (): Promise<void> => {
    setTimeout(() => process.exit(1), last_ms).unref();
    await system.stop();
    await services.stop();
  };
  const crash = (error: unknown): void => {
    report({ what: "this process cannot go on", error });
    void stop().finally(() => process.exit(1));
  };
  process.once("uncaughtException", crash);
  process.once("unhandledRejection", crash);

  if (system.reload !== null) reloadAtHangup(system.reload, report);
  const missing = await Promise.race([system.ready(ready_ms), told.then(() => null)]);
  if (!came()) greet(config, services, system, missing);
  const why = await Promise.race([told, services.failed]);
  if (typeof why === "string") complain(why);
  await stop();
  return typeof why === "string" ? 1 : 0;
}

/** The servers and the roles; nothing is left running when it throws. */
export async function start(
  config: Config,
  wanted: ReadonlySet<Role>,
  log: (line: string) => void,
  report: (problem: Problem) => void,
): Promise<{ services: Services; system: System }> {
  const services = await openServices(config, log);
  try {
    return { services, system: await startSystem(config, services, wanted, report) };
  } catch (error) {
    await services.stop();
    throw error;
  }
}

/** With a certificate, SIGHUP is the word of whoever renewed it, as everywhere; else it ends us. */
function reloadAtHangup(reload: () => void, report: (problem: Problem) => void): void {
  process.removeAllListeners("SIGHUP");
  process.on("SIGHUP", () => {
    try {
      reload();
    } catch (error) {
      report({ what: "the certificate stays what it was", error });
    }
  });
}

/** Resolves at the first signal to end; more of them, as a terminal and npm send, are the same. */
function endSignals(): { readonly told: Promise<void>; came(): boolean } {
  let came = false;
  const told = new Promise<void>((resolve) => {
    for (const signal of ["SIGTERM", "SIGINT", "SIGHUP"] as const) {
      process.on(signal, () => {
        came = true;
        resolve();
      });
    }
  });
  return { told, came: () => came };
}

function rolesOf(text: string | undefined): ReadonlySet<Role> {
  if (text === undefined) return new Set(roles);
  const wanted = text.split(",").map((word) => {
    const role = roles.find((one) => one === word.trim());
    if (role === undefined) {
      throw new CliError(
        `"${word}" is not a role; did you mean ${nearest(word, roles)}? Roles are ${roles.join(", ")}.`,
        exit_usage,
      );
    }
    return role;
  });
  return new Set(wanted);
}

function greet(config: Config, services: Services, system: System, missing: string | null): void {
  const { url, models } = system;
  if (missing !== null) complain(`Not everything is ready yet. ${missing}`);
  say(`Colloquy is ready${url === null ? "" : `: ${url}`}`);
  const route = models.route(null);
  const { embedded, folder } = services;
  const lines = [
    route?.provider === "builtin"
      ? "model     built in: it answers by quoting. Set OPENAI_API_KEY or OPENAI_BASE_URL for a language model."
      : `model     ${route?.model ?? "none"} at ${config.get("OPENAI_BASE_URL") ?? "OpenAI"}`,
    `log       ${embedded.nats ? "embedded NATS" : "NATS_URL"}, read models ${embedded.database ? "in embedded Postgres" : "at DATABASE_URL"}`,
    ...(folder === null ? [] : [`data      ${folder.path}`]),
    ...(url === null || !embedded.nats
      ? ["sign in   colloquy token --tenant <tenant> --user <user>"]
      : [
          `sign in   open ${url}: the page signs you in; programs use: colloquy token --tenant ${config.get("COLLOQUY_TENANT") ?? "main"} --user you`,
        ]),
  ];
  for (const line of lines) say(`  ${line}`);
}
