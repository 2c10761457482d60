/** The `colloquy` command. An expected failure is one sentence on stderr, never a stack trace. */
import "./quick-start.ts";

// Only what is asked for from here on goes through it.
const { failure, runLine } = await import("./commands.ts");
try {
  process.exitCode = await runLine(process.argv.slice(2));
} catch (error) {
  const { complain } = await import("./line/terminal.ts");
  const { sentence, exit } = failure(error);
  complain(sentence);
  process.exitCode = exit;
}
