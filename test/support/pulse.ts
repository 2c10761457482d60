/** Calls that wait for something to become true, looked at with every beat. */
export function pulse(): { beat(): void; until(holds: () => boolean): Promise<void> } {
  const waiting = new Set<() => void>();
  return {
    beat() {
      for (const look of [...waiting]) look();
    },
    until: (holds) =>
      new Promise((resolve) => {
        const look = (): void => {
          if (!holds()) return;
          waiting.delete(look);
          resolve();
        };
        waiting.add(look);
        look();
      }),
  };
}
