/** Finds the name that somebody probably meant: the smallest edit distance (Levenshtein). */

/** Insertions, deletions and replacements that make `b` of `a`. */
function distance(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, index) => index);
  for (let i = 1; i <= a.length; i++) {
    const next = [i];
    for (let j = 1; j <= b.length; j++) {
      const replaced = (row[j - 1] ?? 0) + (a[i - 1] === b[j - 1] ? 0 : 1);
      next.push(Math.min(replaced, (row[j] ?? 0) + 1, (next[j - 1] ?? 0) + 1));
    }
    row = next;
  }
  return row[b.length] ?? 0;
}

/** The nearest of `names`, the first of equals; `names` holds at least one. */
export function nearest(name: string, names: readonly string[]): string {
  const [first = name, ...others] = names;
  let best = { name: first, distance: distance(name, first) };
  for (const other of others) {
    const away = distance(name, other);
    if (away < best.distance) best = { name: other, distance: away };
  }
  return best.name;
}
