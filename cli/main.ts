/** The `colloquy` command. An expected failure is one sentence on stderr, never a stack trace. */
import { failure, runLine } from "./commands.ts";
import { complain } from "./terminal.ts";

try {
  process.exitCode = await runLine(process.argv.slice(2));
} catch (error) {
  const { sentence, exit } = failure(error);
  complain(sentence);
  process.exitCode = exit;
}
