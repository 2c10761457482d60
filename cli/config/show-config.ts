/** `colloquy config`: every key with its value, where that comes from, and what it means. */
import { type Arguments, data_flag } from "../line/arguments.ts";
import type { Deed } from "../line/command.ts";
import { type Config, readConfig } from "../config.ts";
import { keyNames, keys } from "./keys.ts";
import { say } from "../line/terminal.ts";

export const showConfig: Deed = {
  summary: "shows every key, its value and where it comes from",
  flags: { json: "for programs", ...data_flag },
  run,
};

function run(given: Arguments): number {
  const config = readConfig({ COLLOQUY_DATA: given.value("data") });
  if (given.on("json")) {
    say(
      JSON.stringify(
        keyNames.map((name) => rowOf(config, name)),
        null,
        2,
      ),
    );
    return 0;
  }
  const width = Math.max(...keyNames.map((name) => name.length));
  for (const name of keyNames) {
    const { value, source, sentence } = rowOf(config, name);
    say(`${name.padEnd(width)}  ${value ?? "-"}${source === "unset" ? "" : `  (${source})`}`);
    say(`${" ".repeat(width)}  ${sentence}`);
  }
  return 0;
}

function rowOf(config: Config, name: (typeof keyNames)[number]) {
  const { type, unit, sentence, secret } = keys[name];
  return {
    ...{ key: name, value: config.shown(name), source: config.source(name) },
    ...{ type, unit, secret, default: keys[name].default, sentence },
  };
}

/** docs/CONFIG.md, whole. */
export function configMarkdown(): string {
  const rows = keyNames.map((name) => {
    const { type, unit, sentence, secret } = keys[name];
    const fallback = keys[name].default;
    const cells = [
      `\`${name}\`${secret ? " (secret)" : ""}`,
      unit === "" ? type : `${type}; ${unit}`,
      fallback === null || fallback === "" ? "–" : `\`${fallback}\``,
      sentence,
    ];
    return `| ${cells.join(" | ")} |`;
  });
  return [
    "# Configuration",
    "",
    "Colloquy reads the environment once, when a command starts. A `COLLOQUY_` key that is not in this table is refused with the nearest name; an empty value counts as absent; secrets are masked when they are printed. `colloquy config` shows what holds and where it comes from.",
    "",
    "This file is generated from `cli/config/keys.ts`: `node cli/documents.ts`.",
    "",
    "| key | type | default | what it is |",
    "| --- | --- | --- | --- |",
    ...rows,
    "",
  ].join("\n");
}
