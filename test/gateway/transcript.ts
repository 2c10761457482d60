/** Judges what one reader of a conversation was sent, frame by frame, as a client would (I5, I6). */
import { strict as assert } from "node:assert";
import type { PushFrame } from "../../gateway/live/cursor.ts";

export class Transcript {
  revision: number;
  turn: string | null = null;
  attempt = 0;
  seq = 0;
  text = "";
  owed: string | null = null;
  /** Every frame but tokens; the answers' texts stand in for those. */
  readonly story: string[] = [];

  constructor(revision = 0) {
    this.revision = revision;
  }

  take(frame: PushFrame): void {
    if (frame.type === "end") {
      assert.equal(frame.turn, this.owed, "an end follows its ending event");
      this.owed = null;
      this.story.push(`end ${frame.turn} ${frame.finish}`);
      return;
    }
    assert.equal(this.owed, null, "nothing comes between an ending event and its end");
    if (frame.type === "token") {
      assert.equal(frame.turn, this.turn, "a token belongs to the announced turn");
      assert.equal(frame.attempt, this.attempt, "a token belongs to the announced attempt");
      assert.equal(frame.from ?? frame.seq, this.seq + 1, "tokens follow each other");
      this.seq = frame.seq;
      this.text += frame.content;
      return;
    }
    assert.equal(frame.revision, this.revision + 1, "revisions follow each other");
    this.revision = frame.revision;
    const { event } = frame;
    if (event.type === "turn.started" || event.type === "turn.restarted") {
      this.turn = String(event["turn"]);
      this.attempt = Number(event["attempt"]);
      this.seq = 0;
      this.text = "";
    }
    if (["turn.completed", "turn.cancelled", "turn.failed"].includes(event.type)) {
      if (event["turn"] === this.turn) {
        assert.equal(this.text, event["text"], "the frames are exactly the ending's text");
        assert.equal(this.seq, event["seq"], "the last frame came before the ending");
        this.turn = null;
      }
      this.owed = String(event["turn"]);
    }
    this.story.push(JSON.stringify(frame));
  }
}
