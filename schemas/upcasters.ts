/**
 * Old events become events of the current version when they are decoded: pure functions, one per
 * step, applied in order. The log is never rewritten. Every version ever written has a fixture in
 * `test/schemas/events/<type>.v<n>.json`; a test upcasts each one and checks it against its schema.
 */
import { type EventType, eventVersions } from "./events.ts";

export type Upcaster = (data: Readonly<Record<string, unknown>>) => Record<string, unknown>;

/** `upcasters["turn.queued"][1]` turns version 1 into version 2. */
export const upcasters: Readonly<Partial<Record<EventType, Readonly<Record<number, Upcaster>>>>> =
  {};

export class UnknownVersion extends Error {
  constructor(type: string, v: number) {
    super(`${type} has a version ${v} that this release does not know; run a newer one`);
    this.name = "UnknownVersion";
  }
}

/** Brings event data of version `v` to the current one; throws `UnknownVersion` for a newer one. */
export function upcast(
  type: EventType,
  v: number,
  data: Readonly<Record<string, unknown>>,
  table = upcasters,
  current: number = eventVersions[type],
): Readonly<Record<string, unknown>> {
  let upcasted = data;
  for (let version = v; version !== current; version++) {
    const step = table[type]?.[version];
    if (step === undefined || version > current) throw new UnknownVersion(type, v);
    upcasted = step(upcasted);
  }
  return upcasted;
}
