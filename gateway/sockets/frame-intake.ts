/**
 * What a client sends over its socket, before anybody acts on it: frames are counted, read, checked
 * and let in, in the order in which they came. Every bad frame gets one coded error and the socket
 * stays, up to the limit; what waits for its admission is bounded (I11). What a frame means is not
 * decided here.
 */
import { type ErrorBody, type ErrorCode, errorBody } from "../../schemas/errors.ts";
import { type ClientFrame, clientFrameChecks, isClientFrameType } from "../../schemas/frames.ts";
import { isUuid } from "../../schemas/ids.ts";
import { limits } from "../../schemas/limits.ts";
import { nestsDeeper, parseJson } from "../../schemas/validate.ts";
import { frame_classes } from "../limits/classes.ts";
import { type Admission, type Caller, limitedBody } from "../limits/gate.ts";
import type { Service } from "../service.ts";

/** Where frames go. */
interface Reader {
  frame(frame: ClientFrame): void;
  /** A frame that is not let in, with its id where it has one. */
  refuse(id: string | null, error: ErrorBody): void;
  /** The socket goes too far and has to be closed. */
  fail(code: ErrorCode): void;
}

export class FrameIntake {
  readonly #service: Pick<Service, "ports" | "gate">;
  readonly #caller: Caller;
  readonly #reader: Reader;
  #malformed: number[] = [];
  /** The last of the frames that wait until Redis has said whether they may pass, in their order. */
  #line: Promise<void> | null = null;
  #lined = 0;
  #frames = 0;
  #framesSince = 0;
  #closed = false;

  constructor(service: Pick<Service, "ports" | "gate">, caller: Caller, reader: Reader) {
    this.#service = service;
    this.#caller = caller;
    this.#reader = reader;
  }

  /** Lets nothing more in, not even what waits. */
  close(): void {
    this.#closed = true;
  }

  /** A text frame, at most `frame_bytes_max` long. */
  text(text: string): void {
    if (this.#closed || this.#floods()) return;
    if (nestsDeeper(text, limits.json_levels_max)) return this.#refuse(null, "bad_request");
    const value = parseJson(text);
    if (typeof value !== "object" || value === null || Array.isArray(value)) {
      return this.#refuse(null, value === undefined ? "bad_json" : "bad_request");
    }
    // A plain object by the line above.
    const fields = value as Readonly<Record<string, unknown>>;
    const id = isUuid(fields["id"]) ? fields["id"] : null;
    const type = fields["type"];
    if (!isClientFrameType(type)) return this.#refuse(id, "unknown_type");
    const parsed = clientFrameChecks[type].parse(value);
    if (!parsed.ok) {
      const long =
        typeof fields["text"] === "string" && fields["text"].length > limits.text_chars_max;
      return this.#refuse(
        id,
        long ? "text_too_long" : "bad_request",
        long ? undefined : parsed.problem,
      );
    }
    this.#admit(parsed.value);
  }

  /** Lets a frame pass or refuses it; whatever waits, the order of frames stays. */
  #admit(frame: ClientFrame): void {
    const cls = frame_classes[frame.type];
    const admission = cls === null ? null : this.#service.gate.admit(cls, this.#caller);
    if (!(admission instanceof Promise) && this.#line === null) {
      return this.#admitted(frame, admission);
    }
    if (this.#lined >= limits.commands_per_socket_max) {
      return this.#reader.refuse("id" in frame ? frame.id : null, errorBody("overloaded"));
    }
    this.#lined++;
    const line = Promise.all([admission, this.#line]).then(([judged]) => {
      this.#lined--;
      if (this.#line === line) this.#line = null;
      if (!this.#closed) this.#admitted(frame, judged);
    });
    this.#line = line;
  }

  #admitted(frame: ClientFrame, admission: Admission | null): void {
    if (admission === null || admission.admitted) return this.#reader.frame(frame);
    this.#reader.refuse("id" in frame ? frame.id : null, limitedBody(admission));
  }

  /** Closes a socket that sends far more than anybody may: refusing each costs as much as doing it. */
  #floods(): boolean {
    const { clock, rates } = this.#service.ports;
    const now = clock.now();
    if (now - this.#framesSince >= limits.frames_window_ms) {
      this.#framesSince = now;
      this.#frames = 0;
    }
    this.#frames++;
    const allowed = rates.wsCommands === 0 ? Number.POSITIVE_INFINITY : rates.wsCommands;
    if (this.#frames <= Math.max(limits.frames_per_socket_max, allowed)) return false;
    this.#reader.fail("flooding");
    return true;
  }

  #refuse(id: string | null, code: ErrorCode, detail?: string): void {
    const now = this.#service.ports.clock.now();
    this.#malformed = this.#malformed.filter((at) => now - at < limits.malformed_frames_window_ms);
    this.#malformed.push(now);
    this.#reader.refuse(id, errorBody(code, detail));
    if (this.#malformed.length >= limits.malformed_frames_max) {
      this.#reader.fail("too_many_malformed");
    }
  }
}
