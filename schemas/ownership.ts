/**
 * Who owns what: what a worker says of itself in its WORKERS entry, and how the partitions stand, as
 * `/ready` and `colloquy doctor` tell it.
 */
import Type, { type Static } from "typebox";
import { check } from "./validate.ts";

/** The value of a worker's entry. `where` names the process for people. */
export const WorkerEntry = Type.Object({
  where: Type.String({ maxLength: 200 }),
  /** The server's name of each pin that it holds, by partition. */
  pins: Type.Record(Type.String(), Type.String()),
});
export type WorkerEntry = Static<typeof WorkerEntry>;
export const isWorkerEntry = check(WorkerEntry).is;

/**
 * `owned`: a worker that is there holds the pin. `moving`: it was pinned a moment ago, and who has it
 * says so at its next beat. `free`: nobody holds it, and somebody takes it with its next command.
 * `orphaned`: nobody would take its commands, or nobody that is known does.
 */
const PartitionState = Type.Union([
  Type.Literal("owned"),
  Type.Literal("moving"),
  Type.Literal("free"),
  Type.Literal("orphaned"),
]);
export type PartitionState = Static<typeof PartitionState>;

/** How one partition stands. */
export const PartitionView = Type.Object({
  partition: Type.Integer({ minimum: 0 }),
  state: PartitionState,
  /** Its owner, or who would be the first to take it; null when nobody is known. */
  worker: Type.Union([Type.String(), Type.Null()]),
  /** Why it is orphaned; null when it is not. */
  why: Type.Union([Type.String(), Type.Null()]),
  /** Commands that are not done: they wait, or are held while their turn runs. */
  open: Type.Integer({ minimum: 0 }),
});
export type PartitionView = Readonly<Static<typeof PartitionView>>;

/** `0-3, 7`: partitions as people write them. */
export function partitionRanges(partitions: readonly number[]): string {
  const ranges: [number, number][] = [];
  for (const partition of partitions.toSorted((one, other) => one - other)) {
    const last = ranges.at(-1);
    if (last?.[1] === partition - 1) last[1] = partition;
    else ranges.push([partition, partition]);
  }
  return ranges.map(([from, to]) => (from === to ? `${from}` : `${from}-${to}`)).join(", ");
}
