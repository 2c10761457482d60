/** Runs a command in the test's own process, which is quicker than one of its own. */
import { vi } from "vitest";
import { runCommand } from "../../cli/command.ts";
import { CliError } from "../../cli/cli-error.ts";
import { deadletters } from "../../cli/dead-letters.ts";
import { events } from "../../cli/events.ts";
import { projections } from "../../cli/projections.ts";
import { AppError } from "../../schemas/errors.ts";

const commands = { deadletters, events, projections } as const;

export interface Ran {
  readonly code: number;
  readonly out: string;
  /** Lines of stderr; of a failure the sentence. */
  readonly err: string;
}

export async function ran(name: keyof typeof commands, ...words: string[]): Promise<Ran> {
  let out = "";
  let err = "";
  const outside = vi.spyOn(process.stdout, "write").mockImplementation((text) => {
    out += String(text);
    return true;
  });
  const beside = vi.spyOn(process.stderr, "write").mockImplementation((text) => {
    err += String(text);
    return true;
  });
  try {
    return { code: await runCommand(name, commands[name], words), out, err };
  } catch (error) {
    if (error instanceof CliError) return { code: error.exit, out, err: error.message };
    if (error instanceof AppError) return { code: 1, out, err: error.message };
    throw error;
  } finally {
    outside.mockRestore();
    beside.mockRestore();
  }
}
