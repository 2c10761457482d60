/**
 * Lanes that stand close together share a reader; one that is far behind has its own until it has
 * caught up. So a projector that is new, or a kept generation that nobody fed for a week, never holds
 * up what people wait for.
 */
import { limits } from "../schemas/limits.ts";
import type { Lane } from "./lane.ts";

export interface LaneGroup {
  readonly members: readonly Lane[];
  /** Whether it has come so close to the group ahead that one reader may do for both. */
  merge(): boolean;
}

const position = (lane: Lane): number => lane.checkpoint().position;

/** The groups, the one ahead first. Throws nothing; no group is empty. */
export function groupLanes(lanes: readonly Lane[]): LaneGroup[] {
  const groups: LaneGroup[] = [];
  let rest = lanes.toSorted((one, other) => position(other) - position(one));
  while (rest.length > 0) {
    const front = position(rest[0] as Lane); // not empty
    const members = rest.filter((lane) => front - position(lane) <= limits.lanes_apart_max);
    rest = rest.filter((lane) => !members.includes(lane));
    const ahead = groups.at(-1)?.members;
    groups.push({
      members,
      merge() {
        if (ahead === undefined) return false;
        const near = Math.min(...members.map(position));
        return Math.min(...ahead.map(position)) - near <= limits.lanes_apart_max / 2;
      },
    });
  }
  return groups;
}
