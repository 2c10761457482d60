/**
 * The order of the files: those that take longest first, so that no worker has one left to run when
 * the others have ended. Without a word of ours the runner goes by the size of a file, and a long
 * suite may be a small file.
 */
import { existsSync } from "node:fs";
import { join } from "node:path";
import { BaseSequencer, type TestSpecification } from "vitest/node";

const root = join(import.meta.dirname, "../..");
/** Of 20 s and more on two cores, the longest first. */
const longest = [
  ...["bench/scenarios", "streams/cluster", "system/erasure", "faults/short", "cli/commands"],
  ...["streams/trouble", "projections/rebuild-kill", "projections/rebuild", "gates"],
  ...["simulation/simulation", "system/kill", "projections/runner", "actors/trouble"],
  ...["streams/ownership", "actors/dead-letters", "projections/contract", "projections/past"],
  ...["cli/past", "cli/events-follow", "projections/generations", "cli/dead-letters"],
  ...["simulation/bugs", "gateway/trouble", "streams/handover", "system/nats"],
].map((name) => join(root, "test", `${name}.test.ts`));

export class LongestFirst extends BaseSequencer {
  override async sort(files: TestSpecification[]): Promise<TestSpecification[]> {
    const gone = longest.filter((file) => !existsSync(file));
    if (gone.length > 0) throw new Error(`no such file: ${gone.join(", ")}`);
    const places = new Map(longest.map((file, at) => [file, at]));
    const place = ({ moduleId }: TestSpecification): number =>
      places.get(moduleId) ?? longest.length;
    return (await super.sort(files)).toSorted((one, other) => place(one) - place(other));
  }
}
