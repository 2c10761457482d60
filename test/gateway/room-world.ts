/** A room on lanes and a log that a test plays by hand; waits cost one turn of the loop. */
import type { Lanes } from "../../gateway/live/lanes.ts";
import { Replays } from "../../gateway/live/replays.ts";
import { Room } from "../../gateway/live/room.ts";
import type { Commit } from "../../schemas/commit.ts";
import type { Clock } from "../../schemas/ids.ts";
import type { TokenFrame } from "../../schemas/tokens.ts";
import { commitsOf, framesOf, type Item, uuid } from "./conversation-script.ts";

export const id = uuid(1);
const ref = { tenant: "acme", kind: "conversation", id } as const;
export const start = { revision: 0, turn: null, owed: null };
export const turns = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));
/** Waits cost one turn of the loop, so that every retry happens and no test waits. */
export const clock: Clock = {
  now: () => 0,
  after(_ms, call) {
    const handle = setImmediate(call);
    return () => clearImmediate(handle);
  },
};

/** A conversation whose items appear one by one, in the log at once and in the lanes maybe. */
export class World {
  readonly stored: Item[] = [];
  readonly room: Room;
  #commit: (commit: Commit) => void = () => {};
  #frame: (frame: TokenFrame) => void = () => {};
  /** The lane of commits has failed to hand one on. */
  miss: () => void = () => {};
  keepsFrames = true;

  constructor(time = clock) {
    const following = { ready: Promise.resolve(), stop: () => {} };
    const lanes: Pick<Lanes, "commits" | "tokens" | "replay" | "reconnected"> = {
      commits: (_ref, call, missed) => {
        this.#commit = call;
        this.miss = missed;
        return following;
      },
      tokens: (_ref, call) => ((this.#frame = call), following),
      replay: async (_ref, turn, attempt, after) =>
        framesOf(this.keepsFrames ? this.stored : []).filter(
          ({ t, a, s }) => t === turn && a === attempt && s > after,
        ),
      reconnected: () => () => {},
    };
    const stored = this.stored;
    const log = {
      async *read(_ref: unknown, after: { revision: number }): AsyncGenerator<Commit> {
        for (const commit of commitsOf(stored)) if (commit.revision > after.revision) yield commit;
      },
    };
    this.room = new Room(ref, {
      ...{ lanes, log, replays: new Replays(log), clock: time },
      ...{ report: () => {}, noticed: () => {} },
    });
  }

  happen(item: Item, seen: boolean): void {
    this.stored.push(item);
    if (!seen) return;
    if ("commit" in item) this.#commit(item.commit);
    else this.#frame(item.frame);
  }
}
