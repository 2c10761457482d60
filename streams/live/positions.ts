/** How far projectors have come, announced on `position.…`: a hint that wakes readers, never a proof. */
import { positionSubject } from "../../schemas/subjects.ts";
import type { Streams } from "../connection.ts";
import { follow, type Following } from "./following.ts";

const prefix = positionSubject("");

/** Announces that the projector's rows hold everything up to an EVENTS sequence. */
export function announcePosition(streams: Streams, projector: string, sequence: number): void {
  if (!streams.nc.isClosed()) streams.nc.publish(positionSubject(projector), String(sequence));
}

/** Follows all projectors. */
export const followPositions = (
  streams: Streams,
  onPosition: (projector: string, sequence: number) => void,
): Following =>
  follow(streams, positionSubject("*"), (message) => {
    const sequence = Number(message.string());
    if (Number.isSafeInteger(sequence)) onPosition(message.subject.slice(prefix.length), sequence);
  });
