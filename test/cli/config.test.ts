/** The configuration: what is read, what is refused, and what is never shown. */
import { expect, test } from "vitest";
import { CliError, exit_usage } from "../../cli/line/cli-error.ts";
import { readConfig } from "../../cli/config.ts";
import { keyNames } from "../../cli/config/keys.ts";
import { nearest } from "../../cli/line/nearest.ts";

const refusal = (environment: Record<string, string>): string => {
  try {
    readConfig({}, environment);
  } catch (error) {
    if (error instanceof CliError && error.exit === exit_usage) return error.message;
    throw error;
  }
  return "accepted";
};

test("a key has its default, the environment's value, or a flag's, in that order", () => {
  expect(readConfig({}, {}).get("COLLOQUY_PORT")).toBe(8080);
  const config = readConfig({ COLLOQUY_PORT: "1" }, { COLLOQUY_PORT: "2", COLLOQUY_HOST: "::1" });
  expect(config.get("COLLOQUY_PORT")).toBe(1);
  expect(config.source("COLLOQUY_PORT")).toBe("flag");
  expect(config.source("COLLOQUY_HOST")).toBe("environment");
  expect(config.source("COLLOQUY_DATA")).toBe("default");
  expect(config.source("NATS_URL")).toBe("unset");
});

test("an empty value counts as absent, as compose files and shells unset one", () => {
  const empty = Object.fromEntries(keyNames.map((name) => [name, ""]));
  const config = readConfig({}, empty);
  expect(config.get("COLLOQUY_HOST")).toBe("127.0.0.1");
  expect(config.get("NATS_URL")).toBe(null);
});

test("an unknown key is refused with the nearest name, other people's keys are not looked at", () => {
  expect(refusal({ COLLOQUY_PROT: "1" })).toContain("did you mean COLLOQUY_PORT?");
  expect(refusal({ PATH: "/bin", NATS: "x" })).toBe("accepted");
  expect(nearest("srve", ["chat", "serve", "token"])).toBe("serve");
});

test.each([
  ["COLLOQUY_PORT", "eighty"],
  ["COLLOQUY_PORT", "65536"],
  ["OPENAI_BASE_URL", "localhost:11434"],
  ["NATS_URL", "http://127.0.0.1"],
  ["DATABASE_URL", "mysql://127.0.0.1/x"],
  ["COLLOQUY_TENANT", "Not A Slug"],
  ["COLLOQUY_LOG", "loud"],
  ["COLLOQUY_SECRET", "short"],
  ["COLLOQUY_MASTER_KEY", "0123"],
  ["COLLOQUY_CORS_ORIGINS", "https://a.example/path"],
])("%s=%s is refused with one sentence", (name, value) => {
  const said = refusal({ [name]: value });
  expect(said).toMatch(new RegExp(`^${name} must be .*\\.$`));
  expect(said).not.toContain("\n");
});

test("a secret is neither shown nor repeated in a refusal", () => {
  const secret = "0123456789abcdef0123456789abcdefXY";
  expect(readConfig({}, { COLLOQUY_SECRET: secret }).shown("COLLOQUY_SECRET")).not.toContain(
    "0123",
  );
  expect(refusal({ COLLOQUY_MASTER_KEY: "my-secret-text" })).not.toContain("my-secret");
});

test("a master key is 32 bytes, as hex or as base64", () => {
  const bytes = Uint8Array.from({ length: 32 }, (_, at) => at * 7);
  for (const form of ["hex", "base64", "base64url"] as const) {
    const text = Buffer.from(bytes).toString(form);
    expect(readConfig({}, { COLLOQUY_MASTER_KEY: text }).get("COLLOQUY_MASTER_KEY")).toEqual(bytes);
  }
});
