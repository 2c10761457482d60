/** What ends a command: one sentence for whoever typed it, and an exit code that means something. */

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
