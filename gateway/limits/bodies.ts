/**
 * What lies in memory of request bodies, of all requests together and of one address (I10, I11). A rate
 * bounds how many begin, not how long they take: who sends large ones slowly has them all at once.
 */
import { limits } from "../../schemas/limits.ts";

/** What one request has there. */
export interface Held {
  /** Counts more; false when there is no room for it. */
  take(bytes: number): boolean;
  /** Gives all of it back. */
  end(): void;
}

export class Bodies {
  readonly #addressOf: (peer: string, forwarded: string) => string;
  readonly #addresses = new Map<string, number>();
  #bytes = 0;

  constructor(addressOf: (peer: string, forwarded: string) => string) {
    this.#addressOf = addressOf;
  }

  get bytes(): number {
    return this.#bytes;
  }

  /** For a request of this peer with this `X-Forwarded-For`. */
  open(peer: string, forwarded: string): Held {
    const ip = this.#addressOf(peer, forwarded);
    let mine = 0;
    const add = (bytes: number): void => {
      mine += bytes;
      this.#bytes += bytes;
      const left = (this.#addresses.get(ip) ?? 0) + bytes;
      if (left === 0) this.#addresses.delete(ip);
      else this.#addresses.set(ip, left);
    };
    return {
      take: (bytes) => {
        const here = (this.#addresses.get(ip) ?? 0) + bytes;
        const full =
          here > limits.request_bodies_per_ip_bytes_max ||
          this.#bytes + bytes > limits.request_bodies_bytes_max;
        if (!full) add(bytes);
        return !full;
      },
      end: () => add(-mine),
    };
  }
}
