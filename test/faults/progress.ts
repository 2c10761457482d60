/**
 * How far the load has come, counted in frames that clients have seen: what chooses the moment of a
 * fault, so that a seed hits the same stage of the work on a fast machine and on a slow one.
 */
export interface Progress {
  /** Frames that clients have seen so far. */
  readonly frames: number;
  seen(): void;
  /** Resolves when `frames` more were seen, at the latest after `ms`: whether they were. */
  more(frames: number, ms: number): Promise<boolean>;
}

export function countProgress(): Progress {
  let frames = 0;
  const waiting = new Set<() => void>();
  return {
    get frames() {
      return frames;
    },
    seen() {
      frames += 1;
      for (const look of [...waiting]) look();
    },
    more(count, ms) {
      const target = frames + count;
      return new Promise((resolve) => {
        const done = (reached: boolean): void => {
          clearTimeout(timer);
          waiting.delete(look);
          resolve(reached);
        };
        const look = (): void => {
          if (frames >= target) done(true);
        };
        const timer = setTimeout(() => done(false), ms);
        waiting.add(look);
        look();
      });
    },
  };
}
