/**
 * One answer for all who ask at once, kept for a moment: what costs a question to another server costs
 * one however many probes, balancers and strangers ask (I11). A question that is on its way is joined
 * by whoever comes meanwhile, so an answer is never older than its age and the time that it took.
 */
import type { Clock } from "../schemas/ids.ts";

/** `age_ms`: how long an answer serves; of one that failed, with null. */
export function keptAnswer<T>(
  clock: Pick<Clock, "now">,
  age_ms: (answer: T | null) => number,
  ask: () => Promise<T>,
): () => Promise<T> {
  let kept: Promise<T> | null = null;
  let until_ms = 0;
  return () => {
    if (kept !== null && clock.now() < until_ms) return kept;
    const asked = ask();
    kept = asked;
    until_ms = Number.POSITIVE_INFINITY;
    const keep = (answer: T | null): void => {
      if (kept === asked) until_ms = clock.now() + age_ms(answer);
    };
    asked.then(keep, () => keep(null));
    return asked;
  };
}
