/**
 * What is open at this gateway, sockets and answers that stream, by user and by IP address: bounded, and counted to the end (I11).
 * Each gateway counts its own: a count that all share would have to notice a gateway that died.
 */
import type { Caller } from "./gate.ts";

class Counts {
  readonly #counts = new Map<string, number>();

  of(key: string): number {
    return this.#counts.get(key) ?? 0;
  }
  add(key: string, change: 1 | -1): void {
    const count = this.of(key) + change;
    if (count === 0) this.#counts.delete(key);
    else this.#counts.set(key, count);
  }
}

export class Connections {
  readonly #users = new Counts();
  readonly #ips = new Counts();
  readonly #user_max: number;
  readonly #ip_max: number;
  #open = 0;

  /** 0: no limit. */
  constructor(most: { readonly connectionsPerUser: number; readonly connectionsPerIp: number }) {
    this.#user_max = most.connectionsPerUser || Number.POSITIVE_INFINITY;
    this.#ip_max = most.connectionsPerIp || Number.POSITIVE_INFINITY;
  }

  get open(): number {
    return this.#open;
  }

  /** Counts one more; the result, called once, ends it. Null when there are too many. */
  enterIp(ip: string): (() => void) | null {
    if (this.#ips.of(ip) >= this.#ip_max) return null;
    this.#ips.add(ip, 1);
    this.#open++;
    return () => {
      this.#ips.add(ip, -1);
      this.#open--;
    };
  }

  /** One more of both, where the user is known from the beginning. Null when there are too many. */
  enter(caller: Caller): (() => void) | null {
    const leaveIp = this.enterIp(caller.ip);
    const leaveUser = leaveIp === null ? null : this.enterUser(caller);
    if (leaveIp === null || leaveUser === null) {
      leaveIp?.();
      return null;
    }
    return () => {
      leaveUser();
      leaveIp();
    };
  }

  /** The same for its user, once that is known. */
  enterUser({ tenant, user }: Caller): (() => void) | null {
    const who = `${tenant}:${user}`;
    if (this.#users.of(who) >= this.#user_max) return null;
    this.#users.add(who, 1);
    return () => this.#users.add(who, -1);
  }
}
