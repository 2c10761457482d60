/** A rebuild in a process of its own, to be killed: `rebuild-child.ts <url> <seed> <commits> <ms per array>`. */
import { connectDatabase } from "../../projections/postgres.ts";
import { projectors } from "../../projections/projectors/all.ts";
import { rebuild } from "../../projections/rebuild/rebuild.ts";
import { systemClock } from "../../schemas/ids.ts";
import { randomHistory } from "./history.ts";
import { logOf } from "./memory-log.ts";
import { rebuilding } from "./rebuilding.ts";

const [url = "", seed = "", commits = "", slow_ms = ""] = process.argv.slice(2);
const database = await connectDatabase(url);
const log = logOf(randomHistory(Number(seed), Number(commits), 40), 50);
await rebuild(
  rebuilding(
    database,
    {
      ...log,
      async *read(reading) {
        for await (const batch of log.read(reading)) {
          await new Promise<void>((next) => void systemClock.after(Number(slow_ms), next));
          // The parent kills it somewhere behind this, or behind a step.
          process.stdout.write("reading\n");
          yield batch;
        }
      },
    },
    {
      step: (what) => process.stdout.write(`${what}\n`),
    },
  ),
  projectors,
);
await database.close();
process.stdout.write("done\n");
