/**
 * How many POSTs are on their way at once, of a tenant and of all: a tenant whose endpoints hang
 * waits for itself (I10, I11). Whoever waits is served in order, except that nobody waits behind a
 * tenant that is full.
 */
export interface Slots {
  /** Resolves with the way to give it back. */
  take(tenant: string): Promise<() => void>;
}

export function openSlots(all_max: number, tenant_max: number): Slots {
  const taken = new Map<string, number>();
  const waiting: { readonly tenant: string; readonly go: () => void }[] = [];
  let all = 0;
  const serve = (): void => {
    for (let at = 0; at < waiting.length && all < all_max;) {
      const next = waiting[at];
      const had = taken.get(next?.tenant ?? "") ?? 0;
      if (next === undefined || had >= tenant_max) {
        at += 1;
        continue;
      }
      waiting.splice(at, 1);
      all += 1;
      taken.set(next.tenant, had + 1);
      next.go();
    }
  };
  return {
    take(tenant) {
      return new Promise((resolve) => {
        const release = (): void => {
          all -= 1;
          const left = (taken.get(tenant) ?? 1) - 1;
          if (left === 0) taken.delete(tenant);
          else taken.set(tenant, left);
          serve();
        };
        waiting.push({ tenant, go: () => resolve(release) });
        serve();
      });
    },
  };
}
