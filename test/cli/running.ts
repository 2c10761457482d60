/** Runs a command in the test's own process, which is quicker than one of its own. */
import { vi } from "vitest";
import { failure, runLine } from "../../cli/commands.ts";
import { CliError } from "../../cli/line/cli-error.ts";
import { AppError } from "../../schemas/errors.ts";

export interface Ran {
  readonly code: number;
  readonly out: string;
  /** Lines of stderr; of a failure the sentence. */
  readonly err: string;
}

/** What was typed behind `colloquy`; what is no expected failure is thrown. */
export async function ran(...words: string[]): Promise<Ran> {
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
    return { code: await runLine(words), out, err };
  } catch (error) {
    if (!(error instanceof CliError || error instanceof AppError)) throw error;
    const { sentence, exit } = failure(error);
    return { code: exit, out, err: sentence };
  } finally {
    outside.mockRestore();
    beside.mockRestore();
  }
}
