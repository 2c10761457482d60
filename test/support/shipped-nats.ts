/** A NATS server with the `nats.conf` that we ship, on a port and in a folder of the test's own. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { type Running, startNats } from "./services.ts";

const root = join(import.meta.dirname, "../..");
/** As it stands in the file. */
export const shipped = readFileSync(join(root, "nats.conf"), "utf8");
/** Those who have a password there: `$NATS_<USER>_PASSWORD`. */
export const nats_users = [
  ...["gateway", "worker", "projector", "feed", "integrator", "colloquy"],
] as const;
export type NatsUser = (typeof nats_users)[number];
export const passwordOf = (user: string): string => `of-${user}`;

/** Starts it; whoever asks stops it and removes the folder. */
export function startShippedNats(dir: string): Promise<Running> {
  const config = shipped
    .replaceAll(/\$NATS_([A-Z]+)_PASSWORD/g, (_all, user: string) => passwordOf(user.toLowerCase()))
    .replace("0.0.0.0:4222", "127.0.0.1:-1")
    .replace(/^http:.*$/m, "")
    .replace("/data/jetstream", join(dir, "jetstream"));
  return startNats(dir, { config, replace: true });
}

/** The address with which one of its users connects. */
export const addressOf = ({ url }: { readonly url: string }, user: NatsUser): string =>
  url.replace("//", `//${user}:${passwordOf(user)}@`);
