/** The one source of chance of a run: the same seed makes the same run. */
export interface Random {
  /** From 0 to 1, without 1. */
  share(): number;
  /** Whether something happens that does so in this share of cases. */
  chance(share: number): boolean;
  /** A whole number from `from` to `to`, both included. */
  between(from: number, to: number): number;
  pick<T>(list: readonly T[]): T | undefined;
  shuffled<T>(list: readonly T[]): T[];
}

/** mulberry32 (Tommy Ettinger, public domain). */
export function randomOf(seed: number): Random {
  let state = seed | 0;
  const share = (): number => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296;
  };
  const between = (from: number, to: number): number =>
    from + Math.floor(share() * (to - from + 1));
  return {
    share,
    chance: (part) => share() < part,
    between,
    pick: (list) => list[Math.floor(share() * list.length)],
    shuffled(list) {
      const made = [...list];
      for (let at = made.length - 1; at > 0; at--) {
        const other = between(0, at);
        [made[at], made[other]] = [made[other] as never, made[at] as never];
      }
      return made;
    },
  };
}
