/**
 * A persistent table: `put` gives a new one that shares almost everything with the old, which stays
 * as it was. A decision is validated on copies of the state, event after event, so the state must
 * not change in place; spreading a record of 10,000 messages for every event would make a fold
 * quadratic. 256 buckets by the last two characters of the key (the random end of a UUID) keep a
 * copy at n/256 entries. It is plain JSON, so that a snapshot can hold it.
 */
export interface Table<V> {
  readonly size: number;
  readonly buckets: Readonly<Record<string, Readonly<Record<string, V>>>>;
}

export const empty_table: Table<never> = { size: 0, buckets: {} };

const bucketOf = (key: string): string => key.slice(-2);

export function get<V>(table: Table<V>, key: string): V | undefined {
  const bucket = table.buckets[bucketOf(key)];
  return bucket !== undefined && Object.hasOwn(bucket, key) ? bucket[key] : undefined;
}

export function put<V>(table: Table<V>, key: string, value: V): Table<V> {
  const name = bucketOf(key);
  const bucket = table.buckets[name] ?? {};
  return {
    size: table.size + (Object.hasOwn(bucket, key) ? 0 : 1),
    buckets: { ...table.buckets, [name]: { ...bucket, [key]: value } },
  };
}
