/**
 * A workspace's state: how far the tenant's history is anchored. `evolve` is the only thing that
 * makes a state, and it is total: the machine decides whether an event may come (I4).
 */
import { zero_hash } from "../../schemas/commit.ts";
import type { EventData, WorkspaceEventType } from "../../schemas/events.ts";
import type { ActorRef } from "../../schemas/ids.ts";

export interface WorkspaceState {
  readonly ref: ActorRef;
  /** The root of the last anchor; 64 zeros while there is none. */
  readonly root: string;
  /** The last EVENTS sequence that an anchor covers; 0 while there is none. */
  readonly sequence: number;
}

export type WorkspaceEvent = {
  [T in WorkspaceEventType]: { readonly type: T; readonly data: EventData<T> };
}[WorkspaceEventType];

export const initialState = (ref: ActorRef): WorkspaceState => ({
  ...{ ref, root: zero_hash, sequence: 0 },
});

/** The state after an event that the machine has allowed. */
export function evolve(state: WorkspaceState, event: WorkspaceEvent): WorkspaceState {
  switch (event.type) {
    case "chain.anchored": {
      const { root, sequence } = event.data;
      return { ...state, root, sequence };
    }
    default:
      return state;
  }
}
