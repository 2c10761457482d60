/** What people ask, with directives for the scripted provider: how it answers and how it fails. */
import type { Random } from "../projections/history.ts";

/** A number from `from` to `to`, both included. */
export const between = (roll: Random, from: number, to: number): number =>
  from + Math.floor(roll() * (to - from + 1));

/** One of the rows, as often as its weight says. */
export function weighted<T>(roll: Random, rows: readonly (readonly [weight: number, T])[]): T {
  let left = roll() * rows.reduce((sum, [weight]) => sum + weight, 0);
  for (const [weight, value] of rows) {
    left -= weight;
    if (left < 0) return value;
  }
  const last = rows.at(-1);
  if (last === undefined) throw new RangeError("nothing to choose from");
  return last[1];
}

const words = ["Tell", "me", "про", "世界", "🙂👩‍💻", 'a "tale"', "of\nrivers", "{1}", "\\n", "é"];

/** Without `times` a fault hits every attempt, and the turn fails. */
const faults: readonly (readonly [number, string])[] = [
  [70, ""],
  [4, "[[fault:500 times=1]]"],
  [2, "[[fault:503 times=2]]"],
  [2, "[[fault:500]]"],
  [4, "[[fault:429 retry-after=1 times=1]]"],
  [5, "[[fault:cut after=4 times=1]]"],
  [2, "[[fault:end after=6 times=1]]"],
  [2, "[[fault:malformed after=3 times=1]]"],
  [2, "[[fault:error after=5 times=1]]"],
  [2, "[[fault:empty times=1]]"],
];

/** How long and how fast: an answer of seconds is checkpointed in the middle. */
const paces: readonly (readonly [number, (roll: Random) => string])[] = [
  [50, (roll) => `[[tokens:${between(roll, 1, 40)}]]`],
  [20, (roll) => `[[tokens:${between(roll, 150, 250)}]]`],
  [15, (roll) => `[[tokens:${between(roll, 5, 20)}]] [[delay:150]]`],
  [10, (roll) => `[[tokens:${between(roll, 20, 200)}]] [[delay:0]]`],
  [5, (roll) => `[[tokens:10]] [[first:${between(roll, 500, 2_500)}]]`],
];

/** A provider that falls silent is believed in for a minute: whoever asked loses patience first. */
const silences = ["[[fault:hang times=1]]", "[[fault:stall after=5 times=1]]"] as const;

/** A message unlike every other: `name` stands in it, and `times` counts per message. */
export function question(roll: Random, name: string): string {
  const said = Array.from({ length: between(roll, 1, 8) }, () => words[between(roll, 0, 9)]);
  return [name, ...said, weighted(roll, paces)(roll), weighted(roll, faults)].join(" ");
}

/** One that is not answered, or not to its end. */
export const unanswerable = (roll: Random, name: string): string =>
  `${name} ${silences[between(roll, 0, 1)]}`;
