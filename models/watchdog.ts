/**
 * Notices a silent provider: one patience before the first sign of life, another between two.
 */
import type { Clock } from "../schemas/ids.ts";

export interface Watchdog {
  /** The provider has shown that it is alive. */
  alive(): void;
  stop(): void;
}

/** One timer for a whole call: it is not re-armed at every token, it looks when it fires. */
export function watchdog(
  clock: Clock,
  first_ms: number,
  stall_ms: number,
  late: (message: string) => void,
): Watchdog {
  let beat = clock.now();
  let patience = first_ms;
  let cancel = clock.after(first_ms, look);
  function look(): void {
    const left = beat + patience - clock.now();
    if (left > 0) cancel = clock.after(left, look);
    else late(`The model was silent for ${Math.round(patience / 1000)} s.`);
  }
  return {
    alive(): void {
      beat = clock.now();
      if (patience === stall_ms) return;
      patience = stall_ms;
      cancel();
      cancel = clock.after(stall_ms, look);
    },
    stop: () => cancel(),
  };
}
