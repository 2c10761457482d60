/**
 * The order of the files: those that take longest first, so that no worker has one left to run when
 * the others have ended. Without a word of ours the runner goes by the size of a file, and a long
 * suite may be a small file.
 */
import { existsSync } from "node:fs";
import { join } from "node:path";
import { BaseSequencer, type TestSpecification } from "vitest/node";

const root = join(import.meta.dirname, "../..");
/** Of 12 s and more on two cores, the longest first. */
const longest = [
  ...["bench/scenarios", "gates", "streams/cluster", "cli/commands", "faults/short"],
  ...["simulation/simulation", "system/erasure", "projections/runner", "projections/rebuild"],
  ...["streams/trouble", "projections/contract", "system/nats", "system/kill"],
  ...["simulation/bugs", "cli/events-verify", "projections/rebuild-kill", "actors/bounds"],
  ...["streams/handover", "actors/trouble", "system/roles", "cli/events-follow"],
  ...["streams/ownership", "gateway/trouble", "actors/dead-letters", "system/parallel"],
  ...["projections/pglite-server", "projections/generations", "projections/row-security"],
  ...["gateway/slow-socket", "projections/past", "cli/dead-letters", "cli/past"],
  ...["system/balanced", "web/sign-in", "cli/projections", "docs/protocol"],
  ...["projections/identity", "gateway/tls", "integrations/webhooks", "gateway/sharing"],
  ...["streams/workers", "gateway/patient-stream", "system/ending", "web/real-page"],
  ...["gateway/slow-requests", "streams/anchors", "gateway/slow-stream", "web/use-chat"],
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
