/**
 * Which worker pulls which partitions: rendezvous hashing, so that everybody who knows the same
 * members comes to the same answer without a word, and a member that leaves moves only its own.
 */
import { hash } from "node:crypto";

/** Each partition has a first choice and one stand-by. */
const choices = 2;

/** What `worker` pulls: partition → 0 when it is the first choice, 1 when the stand-by. */
export function assignment(
  worker: string,
  members: readonly string[],
  partitions: number,
): ReadonlyMap<number, number> {
  const mine = new Map<number, number>();
  if (!members.includes(worker)) return mine;
  for (let partition = 0; partition < partitions; partition++) {
    const rank = ranking(members, partition).indexOf(worker);
    if (rank < choices) mine.set(partition, rank);
  }
  return mine;
}

/** The members, best first. */
function ranking(members: readonly string[], partition: number): string[] {
  return members
    .map((member) => ({ member, score: hash("sha1", `${member} ${partition}`, "hex") }))
    .sort((one, other) => (one.score < other.score ? -1 : 1))
    .map(({ member }) => member);
}
