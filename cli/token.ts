/** `colloquy token`: prints an access token and nothing else; the user needs no account. */
import { resolve } from "node:path";
import { issueAccessToken } from "../gateway/auth/access-token.ts";
import { accounts_tenant, isTenant, isUserId } from "../schemas/ids.ts";
import { type Role, roles } from "../schemas/permissions.ts";
import { type Arguments, data_flag } from "./line/arguments.ts";
import type { Deed } from "./line/command.ts";
import { CliError, exit_usage } from "./line/cli-error.ts";
import { type Config, readConfig } from "./config.ts";
import { secretsOf } from "./services.ts";
import { say } from "./line/terminal.ts";

export const token: Deed = {
  summary: "prints an access token",
  flags: {
    tenant: "<slug> whose token it is",
    user: "<id> of the user; needs no account",
    role: "<role> viewer, member, admin or owner; member when absent",
    ttl: "<time> like 90, 15m, 24h or 30d; 24h when absent",
    ...data_flag,
  },
  run,
};

const day_s = 24 * 60 * 60;

async function run(given: Arguments): Promise<number> {
  const config = readConfig({ COLLOQUY_DATA: given.value("data") });
  const tenant = given.value("tenant");
  const user = given.value("user");
  if (tenant === undefined || user === undefined) {
    throw new CliError("A token needs --tenant and --user.", exit_usage);
  }
  const role = roles.find((one) => one === (given.value("role") ?? "member"));
  if (role === undefined) {
    throw new CliError(`--role is one of ${roles.join(", ")}.`, exit_usage);
  }
  say(tokenFor(config, { tenant, user, role }, seconds(given.value("ttl"))));
  return 0;
}

/** Signs with the configured secret or the data folder's. Throws `CliError`. */
export function tokenFor(
  config: Config,
  who: { readonly tenant: string; readonly user: string; readonly role: Role },
  ttl_s: number = day_s,
): string {
  if (!isTenant(who.tenant)) {
    throw new CliError("--tenant is a slug of a-z, 0-9 and -, at most 63 long.", exit_usage);
  }
  if (!isUserId(who.user)) {
    throw new CliError(
      "--user is made of A-Z, a-z, 0-9 and . _ @ -, at most 128 long.",
      exit_usage,
    );
  }
  if (who.tenant === accounts_tenant) {
    throw new CliError(`The tenant ${accounts_tenant} is kept for accounts.`, exit_usage);
  }
  const folder = resolve(config.get("COLLOQUY_DATA") ?? ".colloquy");
  const { ring } = secretsOf(config, config.get("NATS_URL") === null, folder);
  return issueAccessToken(ring, who, ttl_s, Date.now());
}

/** `90`, `15m`, `24h` or `30d`, in seconds. */
function seconds(text: string | undefined): number {
  if (text === undefined) return day_s;
  const [, number = "", unit = "s"] = /^(\d{1,9})([smhd])?$/.exec(text) ?? [];
  const units: Readonly<Record<string, number>> = { s: 1, m: 60, h: 3_600, d: day_s };
  const ttl_s = Number(number) * (units[unit] ?? 1);
  if (ttl_s < 1) throw new CliError("--ttl is a time like 90, 15m, 24h or 30d.", exit_usage);
  return ttl_s;
}
