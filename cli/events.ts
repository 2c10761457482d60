/** `colloquy events`: the log itself, for whoever operates it. Each deed has a file in `events/`. */
import { data_flag } from "./arguments.ts";
import type { Command } from "./command.ts";
import { scope_flags } from "./events/scope.ts";
import { runVerify } from "./events/verify.ts";

const json = "for programs";

export const events: Command = {
  summary: "the log itself",
  deeds: {
    verify: {
      summary: "proves that the log is whole, or says where it is not (exit code 1)",
      flags: { ...scope_flags, json, ...data_flag },
      run: runVerify,
    },
  },
};
