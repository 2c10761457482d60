/**
 * Every key that Colloquy reads: its type, default, one sentence, and whether it is a secret.
 * docs/CONFIG.md is generated from this table, in its order; cli/config.ts reads the environment by it.
 */
import { default_rates } from "../../schemas/rates.ts";
import {
  text,
  port,
  minutes,
  each_minute,
  at_once,
  networks,
  url,
  choice,
  secret,
  secrets,
  files,
  issuers,
  masterKey,
  tenant,
  tenants,
  origins,
} from "./types.ts";

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
    "Sign-ins, registrations and refreshes from one IP address; to one account a tenth of it in ten minutes, and from all addresses together ten times that.",
  ),
  COLLOQUY_REFUSED_PER_MINUTE: each_minute(
    `${default_rates.refused}`,
    "Wrong or missing credentials from one IP address at one gateway; past that it is answered 429 in place of 401, and no API key that was not good here before is looked up for it.",
  ),
  COLLOQUY_HANDSHAKES_PER_MINUTE: each_minute(
    `${default_rates.handshakes}`,
    "WebSockets that one user, and one IP address, may open at one gateway.",
  ),
  COLLOQUY_CONNECTIONS_PER_USER: at_once(
    `${default_rates.connectionsPerUser}`,
    "WebSockets and streamed answers that one user may have open at one gateway.",
  ),
  COLLOQUY_CONNECTIONS_PER_IP: at_once(
    `${default_rates.connectionsPerIp}`,
    "WebSockets and streamed answers that one IP address may have open at one gateway.",
  ),
  COLLOQUY_METRICS_TOKEN: text(
    null,
    "What `/metrics` asks for as `Authorization: Bearer …`; without it everybody may read them.",
    true,
  ),
  COLLOQUY_TRUSTED_PROXIES: networks(
    "",
    "Proxies in front of the gateway: only what they say in `X-Forwarded-For` is believed.",
  ),
  COLLOQUY_REFUSE_INJECTION: choice("0", "1")(
    "0",
    "Whether a message that tries to talk the model out of its instructions is refused (`1`, `content_disallowed`); off, since it goes by five patterns of words and refuses honest questions about system prompts, too. For the workers.",
  ),
  COLLOQUY_ANCHOR_MINUTES: minutes(
    "10",
    "How often a worker anchors the chains of the tenants that changed (docs/OPERATING.md); 0: never.",
  ),
  COLLOQUY_FEED_READERS: tenants(
    "",
    "Tenants that read the feed by NATS: each has the durable consumer that is named after it (docs/INTEGRATIONS.md).",
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
  COLLOQUY_ACCESS_LOG: choice(
    "auto",
    "on",
    "off",
  )(
    "auto",
    "Whether the gateway writes a line of JSON to stdout for each request and socket (docs/OPERATING.md); `auto`: when `NATS_URL` is set.",
  ),
  OTEL_EXPORTER_OTLP_ENDPOINT: url("http", "https")(
    null,
    "Where traces and metrics go. Known, but nothing is exported yet.",
  ),
} as const;

export type KeyName = keyof typeof keys;
export const keyNames = Object.keys(keys) as readonly KeyName[]; // keys of a literal
