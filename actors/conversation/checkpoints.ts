/** When a running answer is checkpointed into the log, and when its frames must wait for that. */
import type { Clock } from "../../schemas/ids.ts";
import { limits } from "../../schemas/limits.ts";
import type { FrameWriter, Part } from "./frames.ts";

export interface Checkpoints {
  /** Called after every delta. */
  look(): void;
  /** Resolves when no checkpoint is on its way. */
  settled(): Promise<void>;
  stop(): void;
}

/**
 * Checkpoints at 2 s, then every 5 s or 8,192 characters. Frames may run ahead of the log by one
 * checkpoint at most: when the next is due and the last is not stored, the frames wait (I5).
 */
export function checkpointing(
  writer: FrameWriter,
  clock: Clock,
  send: (part: Part) => Promise<void>,
): Checkpoints {
  let storing: Promise<void> | null = null;
  let due = false;
  let stopped = false;
  let cancel: (() => void) | null = null;

  const schedule = (ms: number): void => {
    cancel = clock.after(ms, () => {
      schedule(limits.checkpoint_every_ms);
      store();
    });
  };
  const store = (): void => {
    if (stopped) return;
    if (storing !== null) {
      due = true;
      writer.hold("checkpoint");
      return;
    }
    const part = writer.checkpoint();
    if (part === null) return;
    storing = send(part).then(() => {
      storing = null;
      if (!due || stopped) return;
      due = false;
      writer.release("checkpoint");
      store();
    });
  };
  return {
    look(): void {
      if (stopped) return;
      if (cancel === null) schedule(limits.checkpoint_first_ms);
      if (writer.unchecked_chars >= limits.checkpoint_chars_max) store();
    },
    async settled(): Promise<void> {
      while (storing !== null) await storing;
    },
    stop(): void {
      stopped = true;
      cancel?.();
    },
  };
}
