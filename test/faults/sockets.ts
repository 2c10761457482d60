/** Sockets of clients on a bad network: each breaks after a random number of frames, until calm. */
import type { Random } from "../projections/history.ts";
import { between } from "./questions.ts";

export interface Network {
  /** What a client takes for its `WebSocket`. */
  readonly Socket: typeof WebSocket;
  readonly cuts: number;
  /** From now on no socket breaks. */
  calm(): void;
}

export function badNetwork(roll: Random): Network {
  let cuts = 0;
  let calm = false;
  class Socket extends WebSocket {
    constructor(url: string | URL, protocols?: string | string[]) {
      super(url, protocols);
      let left = between(roll, 2, 200);
      this.addEventListener("message", () => {
        left -= 1;
        if (left !== 0 || calm) return;
        cuts += 1;
        this.close();
      });
    }
  }
  return {
    Socket,
    get cuts() {
      return cuts;
    },
    calm() {
      calm = true;
    },
  };
}
