#!/usr/bin/env node
/** The `colloquy` command: sets itself up like every npm script, then runs cli/main.ts. */
import bootstrap from "./bootstrap.cjs";

await bootstrap.main(["cli/main.ts", ...process.argv.slice(2)]);
