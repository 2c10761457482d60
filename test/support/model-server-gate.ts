/**
 * A gate lets a test release tokens by hand, so that no test ever sleeps until "about now".
 */
export interface Gate {
  /** Lets the next `n` tokens pass; Infinity opens it for good. */
  release(n?: number): void;
  /** Resolves when one token may pass; rejects with the signal's reason. */
  take(signal: AbortSignal): Promise<void>;
}

export function createGate(): Gate {
  let credit = 0;
  const waiting: (() => void)[] = [];
  return {
    release(n = 1) {
      credit += n;
      while (credit > 0 && waiting.length > 0) {
        credit -= 1;
        waiting.shift()?.();
      }
    },
    take(signal) {
      signal.throwIfAborted();
      if (credit > 0) {
        credit -= 1;
        return Promise.resolve();
      }
      return new Promise((resolve, reject) => {
        const pass = (): void => {
          signal.removeEventListener("abort", give_up);
          resolve();
        };
        const give_up = (): void => {
          waiting.splice(waiting.indexOf(pass), 1);
          reject(signal.reason);
        };
        waiting.push(pass);
        signal.addEventListener("abort", give_up, { once: true });
      });
    },
  };
}
