/** What the configuration means to the rooms: several keys, or a part of one, as the value that each asks for. */
import { hkdfSync } from "node:crypto";
import type { createModels } from "../../models/registry.ts";
import { AppError } from "../../schemas/errors.ts";
import { default_rates, type Rates } from "../../schemas/rates.ts";
import type { Config } from "../config.ts";

/** A key of its own for accounts: whoever makes their ids need not be able to open content. */
export const accountsKeyOf = (masterKey: Uint8Array): Uint8Array =>
  new Uint8Array(hkdfSync("sha256", masterKey, "", "colloquy accounts", 32));

export function tlsOf(config: Config): { tls?: { cert: string; key: string } } {
  const cert = config.get("COLLOQUY_TLS_CERT");
  const key = config.get("COLLOQUY_TLS_KEY");
  if (cert === null && key === null) return {};
  if (cert === null || key === null) {
    const missing = cert === null ? "COLLOQUY_TLS_CERT" : "COLLOQUY_TLS_KEY";
    throw new AppError("unavailable", `TLS needs a certificate and its key: set ${missing}, too.`);
  }
  return { tls: { cert, key } };
}

export function ratesOf(config: Config): Rates {
  const d = default_rates;
  return {
    commands: config.get("COLLOQUY_COMMANDS_PER_MINUTE") ?? d.commands,
    wsCommands: config.get("COLLOQUY_WS_COMMANDS_PER_MINUTE") ?? d.wsCommands,
    reads: config.get("COLLOQUY_READS_PER_MINUTE") ?? d.reads,
    tenantCommands: config.get("COLLOQUY_TENANT_COMMANDS_PER_MINUTE") ?? d.tenantCommands,
    signIns: config.get("COLLOQUY_SIGN_INS_PER_MINUTE") ?? d.signIns,
    refused: config.get("COLLOQUY_REFUSED_PER_MINUTE") ?? d.refused,
    handshakes: config.get("COLLOQUY_HANDSHAKES_PER_MINUTE") ?? d.handshakes,
    connectionsPerUser: config.get("COLLOQUY_CONNECTIONS_PER_USER") ?? d.connectionsPerUser,
    connectionsPerIp: config.get("COLLOQUY_CONNECTIONS_PER_IP") ?? d.connectionsPerIp,
  };
}

/** Where somebody operates servers, requests are written down; on one's own machine nobody asked for it. */
export function logsAccess(config: Config): boolean {
  const wished = config.get("COLLOQUY_ACCESS_LOG");
  return wished === "on" || (wished === "auto" && config.get("NATS_URL") !== null);
}

export function openAiOf(config: Config): Parameters<typeof createModels>[0]["openai"] {
  const apiKey = config.get("OPENAI_API_KEY");
  const baseUrl = config.get("OPENAI_BASE_URL");
  if (apiKey === null && baseUrl === null) return null;
  return { apiKey, baseUrl, model: config.get("COLLOQUY_MODEL") };
}
