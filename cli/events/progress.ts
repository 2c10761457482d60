/** How far long work has come, on stderr of a terminal; nothing elsewhere. */
const every_ms = 200;

export interface Progress {
  /** So many of so many. */
  draw(done: number, of: number): void;
  /** Wipes the line. */
  end(): void;
}

/** `wanted` is false where programs read. */
export function openProgress(wanted: boolean): Progress {
  const shown = wanted && process.stderr.isTTY;
  let drawn_ms = 0;
  return {
    draw(done, of) {
      const now_ms = performance.now();
      if (!shown || now_ms - drawn_ms < every_ms) return;
      drawn_ms = now_ms;
      const percent = ((100 * done) / Math.max(1, of)).toFixed(0);
      process.stderr.write(`\r${percent} % of ${of} commits`);
    },
    end() {
      if (shown && drawn_ms > 0) process.stderr.write("\r\u001b[K");
    },
  };
}
