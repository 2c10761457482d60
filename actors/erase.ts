/** Erases a deleted actor's content: tried until it succeeds, harmless to repeat. */
import type { ActorRef } from "../schemas/ids.ts";
import { limits } from "../schemas/limits.ts";
import type { Ports } from "./ports.ts";

/** Starts; `onErased` is called once it has succeeded. The result ends it. */
export function startErase(
  { content, clock, report }: Pick<Ports, "content" | "clock" | "report">,
  ref: ActorRef,
  onErased: () => void,
): () => void {
  let stopped = false;
  let cancel = (): void => undefined;
  const erase = async (wait_ms: number): Promise<void> => {
    // An effect begins after the commit that started it was applied as a whole.
    await Promise.resolve();
    if (stopped) return;
    try {
      await content.erase(ref);
      if (!stopped) onErased();
    } catch (error) {
      if (stopped) return;
      report({ what: `the content of a deleted ${ref.kind} could not be erased yet`, ref, error });
      const next_ms = Math.min(2 * wait_ms, limits.runner_backoff_ms_max);
      cancel = clock.after(wait_ms, () => void erase(next_ms));
    }
  };
  void erase(limits.runner_backoff_ms);
  return () => {
    stopped = true;
    cancel();
  };
}
