/** What a frame counts as; what a request does is said by its operation. */
import type { ClientFrame } from "../../schemas/frames.ts";
import type { LimitClass } from "../../schemas/rates.ts";

/** Null: counted only by the frames that a socket may send at all. */
export const frame_classes: Readonly<Record<ClientFrame["type"], LimitClass | null>> = {
  send: "ws-command",
  regenerate: "ws-command",
  edit: "ws-command",
  cancel: "cancel",
  subscribe: "subscribe",
  watch: "subscribe",
  auth: "subscribe",
  unsubscribe: null,
  ping: null,
};
