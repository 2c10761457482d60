/**
 * Runs the actors of one worker: routes what the queue delivers, renews what is held open, lets idle
 * actors leave memory, and ends all of it in order. Owning a partition is affinity, never safety: of
 * two hosts that run the same actor the one that wins the append goes on.
 */
import { leasingCommands } from "../schemas/commands.ts";
import { type ActorRef, refKey } from "../schemas/ids.ts";
import { limits } from "../schemas/limits.ts";
import { allKinds } from "./kinds.ts";
import type { Delivery, Inbox, Ports } from "./ports.ts";
import { backoff_ms, Resident, type Surroundings } from "./resident.ts";

export interface Host extends Inbox {
  /** Starts no turn that is not running yet, and waits for those that are, `ms` at most; then ends. */
  drain(ms: number): Promise<void>;
  /** Effects that run here now. */
  running(): number;
  /** Actors in memory. */
  awake(): number;
}

/** How often actors that wait for another worker's turn look at the log. */
const follow_ms = 2 * limits.working_ms;

export function createHost(ports: Ports): Host {
  const { clock, workers } = ports;
  const residents = new Map<string, Resident>();
  /** Commands held open, by partition, and by partition and tenant. */
  const held = new Map<number | string, number>();
  /** Turns that are about to begin, by tenant. */
  const claims = new Map<string, number>();
  /** Actors with messages that must be renewed. */
  const renewed = new Set<Resident>();
  /** Idle since, oldest first. */
  const idle = new Map<Resident, number>();
  /** What came while we drain, given back at the end. */
  const parked: Delivery[] = [];
  const ends: (() => void)[] = [];
  let draining: (() => void) | null = null;
  let ended = false;

  const kind = allKinds(ports, {
    report(ref, command, taken) {
      const resident = residents.get(refKey(ref));
      if (resident === undefined) return Promise.resolve();
      return new Promise((resolve) => {
        const done = (): void => {
          taken?.();
          resolve();
        };
        idle.delete(resident);
        resident.offer({ is: "report", id: ports.ids(), command, done });
      });
    },
    refresh: (ref) => void residents.get(refKey(ref))?.offer({ is: "refresh" }),
  });

  const forget = (resident: Resident): void => {
    const key = refKey(resident.ref);
    if (residents.get(key) === resident) residents.delete(key);
    renewed.delete(resident);
    idle.delete(resident);
    resident.leave();
  };
  const checkDrained = (): void => {
    if (draining !== null && kind.effects() === 0) draining();
  };
  const around: Surroundings = {
    ports,
    kind,
    overloaded: (partition) => (held.get(partition) ?? 0) >= held_max,
    crowds: (partition, tenant) =>
      (held.get(heldBy(partition, tenant)) ?? 0) >= held_per_tenant_max,
    claim(tenant) {
      const others = claims.get(tenant) ?? 0;
      if (kind.effectsOf(tenant) + others >= limits.turns_running_per_tenant_max) return null;
      claims.set(tenant, others + 1);
      return () => {
        const left = (claims.get(tenant) ?? 1) - 1;
        if (left === 0) claims.delete(tenant);
        else claims.set(tenant, left);
      };
    },
    onHeld(partition, tenant, change) {
      for (const key of [partition, heldBy(partition, tenant)]) {
        const count = (held.get(key) ?? 0) + change;
        if (count === 0) held.delete(key);
        else held.set(key, count);
      }
    },
    onIdle(resident) {
      if (resident.idle) {
        idle.delete(resident);
        idle.set(resident, clock.now());
        passivate();
      }
      checkDrained();
    },
    onBroken(resident) {
      const deliveries = [...resident.deliveries()];
      forget(resident);
      for (const delivery of deliveries) delivery.nak(limits.redelivery_ms[2]);
      checkDrained();
    },
  };
  /** Lets the longest idle leave while there are too many, and all that were idle long enough. */
  const passivate = (): void => {
    const before_ms = clock.now() - limits.actor_idle_ms;
    for (const [resident, since_ms] of idle) {
      if (since_ms > before_ms && residents.size <= limits.actors_awake_max) break;
      if (resident.idle) {
        resident.keep();
        forget(resident);
      } else idle.delete(resident);
    }
  };
  const residentOf = (ref: ActorRef, partition: number): Resident => {
    const key = refKey(ref);
    const resident = residents.get(key) ?? new Resident(ref, partition, around);
    residents.set(key, resident);
    resident.partition = partition;
    idle.delete(resident);
    return resident;
  };
  const every = (ms: number, call: () => void): void => {
    let cancel = (): void => undefined;
    const go = (): void => {
      cancel = clock.after(ms, () => {
        call();
        if (!ended) go();
      });
    };
    go();
    ends.push(() => cancel());
  };
  const refresh = (which: (resident: Resident) => boolean): void => {
    for (const resident of residents.values()) {
      if (which(resident)) resident.offer({ is: "refresh" });
    }
  };

  every(limits.working_ms, () => {
    for (const delivery of parked) delivery.working();
    for (const resident of renewed) {
      let any = false;
      for (const delivery of resident.deliveries()) {
        delivery.working();
        any = true;
      }
      if (!any) renewed.delete(resident);
    }
  });
  every(follow_ms, () => refresh((resident) => resident.follows));
  every(limits.actor_idle_ms / 4, passivate);
  ends.push(workers.changes(() => refresh((resident) => !resident.idle)));
  ends.push(
    workers.answer((ref, attempt) => {
      // Whoever is busy may be about to begin it.
      return residents.get(refKey(ref))?.working === true || kind.runs(ref, attempt);
    }),
  );

  return {
    deliver(deliveries) {
      // Redelivered messages come in any order (seen: D before C).
      const sorted = [...deliveries].sort((one, other) => one.sequence - other.sequence);
      for (const delivery of sorted) {
        if (ended) {
          delivery.nak(0);
          continue;
        }
        if (draining !== null && leasingCommands.has(delivery.command.name)) {
          parked.push(delivery);
          continue;
        }
        const resident = residentOf(delivery.ref, delivery.partition);
        renewed.add(resident);
        if (!resident.offer({ is: "delivery", delivery })) {
          delivery.nak(backoff_ms(delivery.deliveries));
        }
      }
    },
    lost(partition) {
      for (const resident of residents.values()) {
        if (resident.partition === partition) forget(resident);
      }
      checkDrained();
    },
    async drain(ms) {
      await new Promise<void>((resolve) => {
        draining = resolve;
        ends.push(clock.after(ms, resolve));
        checkDrained();
      });
      ended = true;
      for (const end of ends) end();
      const open = [...residents.values()].flatMap((resident) => [...resident.deliveries()]);
      for (const resident of residents.values()) forget(resident);
      for (const delivery of [...parked, ...open]) delivery.nak(0);
    },
    running: () => kind.effects(),
    awake: () => residents.size,
  };
}

/** Commands that this worker holds open in one partition. */
const held_max = limits.turns_running_per_partition_max + limits.turns_queued_per_partition_max;
/** Of one tenant: whoever chooses his conversations' ids has chosen their partition, too (I10). */
const held_per_tenant_max = held_max / 2;

const heldBy = (partition: number, tenant: string): string => `${partition} ${tenant}`;
