/** What an operator must do when the code and the read models are of different versions. */
import type { Recorded } from "./generations.ts";
import type { Projector } from "./projector.ts";

export interface Advice {
  /** What this release cannot do without; null when all is well. */
  readonly must: string | null;
  /** What is only worth knowing. */
  readonly may: string | null;
}

export function advise(projectors: readonly Projector[], recorded: readonly Recorded[]): Advice {
  const must: string[] = [];
  const may: string[] = [];
  for (const { name, version } of projectors) {
    const live = recorded.find((one) => one.name === name && one.state === "live");
    if (live === undefined || live.version === version) continue;
    const fed = recorded.some(
      (one) => one.name === name && one.version === version && one.state === "kept",
    );
    if (live.version < version) {
      must.push(
        `The read model ${name} has version ${live.version} and this release needs version ${version}: run "colloquy projections rebuild ${name}".`,
      );
    } else if (!fed) {
      may.push(
        `The read model ${name} has version ${live.version}, which a newer release made, and this one knows only version ${version}: run the newer release, which feeds it.`,
      );
    }
  }
  return { must: must.join(" ") || null, may: may.join(" ") || null };
}
