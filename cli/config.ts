/**
 * The only reader of the environment. One table says of every key its type, default, unit, one
 * sentence, and whether it is a secret; docs/CONFIG.md is generated from it. A `COLLOQUY_` key that
 * the table does not know is refused with the nearest name, so that a typing error is never silent.
 */
import { isNetwork } from "../gateway/limits/address.ts";
import { isHomeTenant } from "../schemas/ids.ts";
import { readIssuers } from "../schemas/issuers.ts";
import { default_rates } from "../schemas/rates.ts";
import { parseJson } from "../schemas/validate.ts";
import { nearest } from "./nearest.ts";

/** A start that cannot go on; its message is one sentence for whoever typed the command. */
export class CliError extends Error {
  readonly exit: number;

  constructor(message: string, exit = 1, options?: ErrorOptions) {
    super(message, options);
    this.name = "CliError";
    this.exit = exit;
  }
}

/** Exit code of a wrong command line or configuration; everything else that fails is 1. */
export const exit_usage = 2;

/** Turns the text of a key into its value, or throws a `TypeError` that says what it must be. */
type Reader<T> = (text: string) => T;

interface Key<T> {
  readonly read: Reader<T>;
  /** The text that counts when the key is absent or empty; null when there is none. */
  readonly default: string | null;
  readonly type: string;
  readonly unit: string;
  readonly sentence: string;
  readonly secret: boolean;
}

const key =
  <T>(type: string, read: Reader<T>, unit = "") =>
  (fallback: string | null, sentence: string, secret = false): Key<T> => ({
    read,
    default: fallback,
    type,
    unit,
    sentence,
    secret,
  });

function must(holds: boolean, what: string): asserts holds {
  if (!holds) throw new TypeError(`must be ${what}`);
}

const text = key("text", (value) => value);
const port = key(
  "port",
  (value) => {
    must(/^\d{1,5}$/.test(value) && Number(value) <= 65_535, "a number from 0 to 65535");
    return Number(value);
  },
  "0 takes a free one",
);
const minutes = key(
  "number",
  (value) => {
    must(/^\d{1,5}$/.test(value), "a whole number of minutes");
    return Number(value);
  },
  "minutes",
);
const most = (unit: string) =>
  key(
    "number",
    (value) => {
      must(/^\d{1,9}$/.test(value), "a whole number below a thousand millions; 0 switches it off");
      return Number(value);
    },
    unit,
  );
const each_minute = most("in 60 s; 0: no limit");
const at_once = most("at once; 0: no limit");
const networks = key("addresses and networks, separated by commas", (value) => {
  const list = value
    .split(",")
    .map((network) => network.trim())
    .filter((network) => network !== "");
  must(list.every(isNetwork), "addresses or networks like 10.0.0.0/8, separated by commas");
  return list;
});
const url = (...schemes: readonly string[]) =>
  key(`URL (${schemes.join(", ")})`, (value) => {
    const fits = URL.canParse(value) && schemes.includes(new URL(value).protocol.slice(0, -1));
    must(fits, `a URL that begins with ${schemes.map((scheme) => `${scheme}://`).join(" or ")}`);
    return value;
  });
const choice = <C extends string>(...choices: readonly C[]) =>
  key(choices.join(" \\| "), (value): C => {
    const chosen = choices.find((one) => one === value);
    must(chosen !== undefined, `one of ${choices.join(", ")}`);
    return chosen;
  });
const secret = key("text, 32 characters or more", (value) => {
  must(value.length >= 32, "at least 32 characters long");
  return new TextEncoder().encode(value);
});
const secrets = key("texts of 32 characters or more, separated by commas", (value) => {
  const list = value.split(",").filter((one) => one !== "");
  must(
    list.every((one) => one.length >= 32),
    "secrets of at least 32 characters, separated by commas",
  );
  return list.map((one) => new TextEncoder().encode(one));
});
const files = key("paths, separated by commas", (value) =>
  value
    .split(",")
    .map((path) => path.trim())
    .filter((path) => path !== ""),
);
const issuers = key("JSON list of issuers", (value) => readIssuers(parseJson(value)));
const masterKey = key("32 bytes as 64 hex digits or base64", (value) => {
  const hex = /^[0-9a-fA-F]{64}$/.test(value);
  const bytes = Buffer.from(value, hex ? "hex" : "base64");
  must(
    hex || (bytes.length === 32 && /^[A-Za-z0-9+/_-]{43}=?$/.test(value)),
    "32 bytes, written as 64 hex digits or as base64",
  );
  return new Uint8Array(bytes);
});
const tenant = key("slug", (value) => {
  must(isHomeTenant(value), "a slug of a-z, 0-9 and -, at most 63 long, and not accounts");
  return value;
});
const origins = key("origins, separated by commas", (value) => {
  const list = value
    .split(",")
    .map((origin) => origin.trim())
    .filter((origin) => origin !== "");
  const fits = list.every((origin) => URL.canParse(origin) && new URL(origin).origin === origin);
  must(fits, "origins like https://chat.example.com, separated by commas");
  return list;
});

/** Every key that Colloquy reads, in the order of docs/CONFIG.md. */
export const keys = {
  COLLOQUY_HOST: text("127.0.0.1", "The address that the gateway listens on."),
  COLLOQUY_PORT: port("8080", "The port that the gateway listens on."),
  COLLOQUY_DATA: text(
    ".colloquy",
    "The data folder: embedded servers, generated secrets, lock; relative to the working directory.",
  ),
  COLLOQUY_TENANT: tenant(
    "main",
    "The tenant that the page's visitor and `colloquy chat` of an embedded installation belong to.",
  ),
  COLLOQUY_MODEL: text(
    null,
    "The default model; without one it is `builtin`, or `gpt-4o-mini` when a provider is configured.",
  ),
  OPENAI_API_KEY: text(null, "The key of the OpenAI-compatible provider.", true),
  OPENAI_BASE_URL: url("http", "https")(
    null,
    "The OpenAI-compatible provider, up to and including `/v1`; OpenAI itself when only the key is set.",
  ),
  COLLOQUY_SECRET: secret(
    null,
    "Signs access tokens and the `by` of commands; generated into the data folder when embedded, required with `NATS_URL`.",
    true,
  ),
  COLLOQUY_SECRET_PREVIOUS: secrets(
    "",
    "Secrets that are still believed, or are believed already, while `COLLOQUY_SECRET` is replaced (docs/OPERATING.md).",
    true,
  ),
  COLLOQUY_SIGNING_KEY: text(
    null,
    "A file with an Ed25519 or RSA private key (PEM or JWK) that signs access tokens in place of the secret; its public key is in `/.well-known/jwks.json`.",
  ),
  COLLOQUY_SIGNING_KEYS_PREVIOUS: files(
    "",
    "Files with keys, private or public, whose access tokens are believed besides.",
  ),
  COLLOQUY_ISSUERS: issuers(
    "[]",
    "Other issuers (OpenID Connect) whose access tokens are believed (docs/OPERATING.md).",
  ),
  COLLOQUY_REGISTRATION: choice(
    "open",
    "invited",
    "closed",
  )(
    "open",
    "Who may register: everybody, whoever was invited, or nobody. While the tenant has no member yet, `invited` lets the first account in, too, which then owns it.",
  ),
  COLLOQUY_MASTER_KEY: masterKey(
    null,
    "Wraps the content keys of the log; generated into the data folder when embedded, required with `NATS_URL`. Without it no content can be read again.",
    true,
  ),
  NATS_URL: url(
    "nats",
    "tls",
    "ws",
    "wss",
  )(
    null,
    "A NATS server with JetStream to use in place of the embedded one; it may hold user and password.",
    true,
  ),
  COLLOQUY_NATS_PORT: port("4222", "The port of the embedded NATS server, on 127.0.0.1."),
  COLLOQUY_NATS_SYNC: choice("always", "default")(
    "always",
    "Whether the embedded NATS server has every commit on disk before it acknowledges it (`always`) or within two minutes (`default`, for measurements).",
  ),
  DATABASE_URL: url("postgres", "postgresql")(
    null,
    "A Postgres server to use in place of the embedded one for the read models; it may hold user and password.",
    true,
  ),
  REDIS_URL: url("redis", "rediss")(
    null,
    "A Redis server in which all gateways count rate limits together; without it each counts alone.",
    true,
  ),
  COLLOQUY_COMMANDS_PER_MINUTE: each_minute(
    `${default_rates.commands}`,
    "Commands that one user may send over HTTP; from one IP address ten times as many.",
  ),
  COLLOQUY_WS_COMMANDS_PER_MINUTE: each_minute(
    `${default_rates.wsCommands}`,
    "Commands that one user may send over WebSocket; from one IP address ten times as many.",
  ),
  COLLOQUY_READS_PER_MINUTE: each_minute(
    `${default_rates.reads}`,
    "Reads over HTTP of one user; from one IP address ten times as many.",
  ),
  COLLOQUY_TENANT_COMMANDS_PER_MINUTE: each_minute(
    `${default_rates.tenantCommands}`,
    "Commands of all users of one tenant together.",
  ),
  COLLOQUY_SIGN_INS_PER_MINUTE: each_minute(
    `${default_rates.signIns}`,
    "Sign-ins, registrations and refreshes from one IP address; of one account a tenth of it in ten minutes.",
  ),
  COLLOQUY_HANDSHAKES_PER_MINUTE: each_minute(
    `${default_rates.handshakes}`,
    "WebSockets that one user, and one IP address, may open at one gateway.",
  ),
  COLLOQUY_CONNECTIONS_PER_USER: at_once(
    `${default_rates.connectionsPerUser}`,
    "WebSockets that one user may have open at one gateway.",
  ),
  COLLOQUY_CONNECTIONS_PER_IP: at_once(
    `${default_rates.connectionsPerIp}`,
    "WebSockets that one IP address may have open at one gateway.",
  ),
  COLLOQUY_TRUSTED_PROXIES: networks(
    "",
    "Proxies in front of the gateway: only what they say in `X-Forwarded-For` is believed.",
  ),
  COLLOQUY_ANCHOR_MINUTES: minutes(
    "10",
    "How often a worker anchors the chains of the tenants that changed (docs/OPERATING.md); 0: never.",
  ),
  COLLOQUY_WEBHOOKS_PRIVATE: choice("0", "1")(
    "0",
    "Whether webhooks may go to private, link-local and loopback addresses (`1`): for tests, or when everybody who may make webhooks may reach them anyway.",
  ),
  COLLOQUY_CORS_ORIGINS: origins(
    "",
    "Web origins besides its own whose pages may call the HTTP API and open sockets.",
  ),
  COLLOQUY_TLS_CERT: text(
    null,
    "PEM file of a certificate with its chain: serves https and wss. Read again when it changes, or at SIGHUP.",
  ),
  COLLOQUY_TLS_KEY: text(null, "PEM file of that certificate's key."),
  COLLOQUY_LOG: choice("error", "info", "debug")("info", "How much is written to stderr."),
  OTEL_EXPORTER_OTLP_ENDPOINT: url("http", "https")(
    null,
    "Where traces and metrics go. Known, but nothing is exported yet.",
  ),
} as const;

export type KeyName = keyof typeof keys;
type Value<N extends KeyName> = ReturnType<(typeof keys)[N]["read"]>;
export const keyNames = Object.keys(keys) as readonly KeyName[]; // keys of a literal

export interface Config {
  readonly get: <N extends KeyName>(name: N) => Value<N> | null;
  /** Where the value comes from. */
  readonly source: (name: KeyName) => "flag" | "environment" | "default" | "unset";
  /** The value as it may be printed: a secret shows only that it is set. */
  readonly shown: (name: KeyName) => string | null;
}

type Environment = Readonly<Record<string, string | undefined>>;

/**
 * Reads and checks everything at once. `flags` are keys that the command line sets, which win.
 * Throws `CliError` with one sentence for the first thing that is wrong.
 */
export function readConfig(
  flags: Environment = {},
  environment: Environment = process.env,
): Config {
  for (const name of Object.keys(environment)) {
    if (!name.startsWith("COLLOQUY_") || Object.hasOwn(keys, name)) continue;
    const near = nearest(name, keyNames);
    throw new CliError(
      `${name} is not a key that Colloquy knows; did you mean ${near}?`,
      exit_usage,
    );
  }
  // An empty variable counts as absent: that is how compose files and shells unset one.
  const given = (from: Environment, name: KeyName): string | undefined => from[name] || undefined;
  const values = new Map<KeyName, unknown>();
  for (const name of keyNames) {
    const value = given(flags, name) ?? given(environment, name) ?? keys[name].default;
    if (value === null) continue;
    try {
      values.set(name, keys[name].read(value));
    } catch (error) {
      const why = error instanceof TypeError ? error.message : String(error);
      const what = keys[name].secret ? "" : `, not ${JSON.stringify(value)}`;
      throw new CliError(`${name} ${why}${what}.`, exit_usage);
    }
  }
  return {
    // The map was filled with what the key's own reader gave; the compiler cannot pair them.
    get: <N extends KeyName>(name: N) => (values.get(name) as Value<N> | undefined) ?? null,
    source(name) {
      if (given(flags, name) !== undefined) return "flag";
      if (given(environment, name) !== undefined) return "environment";
      return keys[name].default === null ? "unset" : "default";
    },
    shown(name) {
      const value = given(flags, name) ?? given(environment, name) ?? keys[name].default;
      if (value === null) return null;
      return keys[name].secret ? "••••••••" : value;
    },
  };
}
