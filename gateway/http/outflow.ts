/**
 * The body of one answer that is written as it comes. What its client does not read stays in the
 * server's buffer only up to one write past the watermark: from there on `writable` is false until
 * `onDrain`, and whoever writes keeps his place and waits (I11). A client that reads slowly, or not at
 * all, is never cut off for that.
 *
 * The native server says at the next write that one was not taken whole. From then on it gives its
 * client some 10 seconds, which only that client ends by reading, or `resume`, which begins them anew
 * (measured; there is no word for it in its interface): so that is called all the time.
 */
import type { HttpResponse } from "uWebSockets.js";
import type { Clock } from "../../schemas/ids.ts";
import { limits } from "../../schemas/limits.ts";

export class Outflow {
  readonly #res: HttpResponse;
  readonly #clock: Clock;
  readonly #beat: string;
  /** Resolves when nothing is written any more: it ended, or its client has gone. */
  readonly closed: Promise<void>;
  #close: () => void = () => {};
  #gathered: string[] = [];
  #chars = 0;
  #corks = 0;
  #full = false;
  #over = false;
  #aborted = false;
  #written_ms: number;
  /** Of all that was written. */
  bytes = 0;
  /** When the first words were written, as the clock says; null before. */
  first_at_ms: number | null = null;
  #unread: (bytes: number) => void = () => {};
  /** Bytes of the writes that were not taken whole: at most so many lie in the server's buffer. */
  #untaken = 0;
  #cancelLook: () => void = () => {};
  #drain: (() => void)[] = [];
  #abort: (() => void)[] = [];

  /** `beat` says nothing in the body's format; it is written when nothing else was for a while. */
  constructor(res: HttpResponse, clock: Clock, beat: string) {
    this.#res = res;
    this.#clock = clock;
    this.#beat = beat;
    this.#written_ms = clock.now();
    this.closed = new Promise((resolve) => (this.#close = resolve));
  }

  /** Writes the head and the first beat, which sends it. For `Exchange.stream` only. */
  begin(status: string, headers: Readonly<Record<string, string>>): void {
    this.#res.onWritable(() => this.#writable());
    this.#res.cork(() => {
      this.#res.writeStatus(status);
      for (const [name, value] of Object.entries(headers)) this.#res.writeHeader(name, value);
      this.#res.write(this.#beat);
    });
    this.bytes += this.#beat.length;
    this.#await();
  }

  /** False while the client does not take what was written, and when nobody is there any more. */
  writable(): boolean {
    return !this.#full && !this.#over;
  }

  /** Its client has gone; not set by `end`. */
  get aborted(): boolean {
    return this.#aborted;
  }

  /** Takes the text in any case; false when the next should wait for `onDrain`. */
  write(text: string): boolean {
    if (this.#over || text === "") return this.writable();
    this.#gathered.push(text);
    this.#chars += text.length;
    if (this.#corks === 0 || this.#chars >= limits.stream_write_chars) this.#flush();
    return this.writable();
  }

  /** Gathers what `call` writes into one write. */
  cork(call: () => void): void {
    this.#corks++;
    try {
      call();
    } finally {
      this.#corks--;
      if (this.#corks === 0) this.#flush();
    }
  }

  /** Calls each time that the client has taken what was written, after `writable` was false. */
  onDrain(call: () => void): void {
    this.#drain.push(call);
  }

  /** Tells how many bytes the client has not taken, at most, each time that it changes. */
  onUnread(call: (bytes: number) => void): void {
    this.#unread = call;
    call(this.#untaken);
  }

  /** Calls once when the client goes before `end`; at once when it has gone. */
  onAbort(call: () => void): void {
    if (this.#aborted) call();
    else this.#abort.push(call);
  }

  /** Ends the body, after what was written. */
  end(): void {
    if (this.#over) return;
    this.#flush();
    this.#finish();
    this.#res.cork(() => void this.#res.end());
  }

  /** The client has gone: the response may not be touched any more. */
  abort(): void {
    if (this.#over) return;
    this.#aborted = true;
    this.#finish();
    for (const call of this.#abort.splice(0)) call();
  }

  #finish(): void {
    this.#over = true;
    this.#gathered = [];
    this.#cancelLook();
    this.#close();
  }

  #flush(): void {
    if (this.#over || this.#gathered.length === 0) return;
    const text = this.#gathered.join("");
    this.#gathered = [];
    this.#chars = 0;
    this.#written_ms = this.#clock.now();
    if (text !== this.#beat) this.first_at_ms ??= this.#written_ms;
    if (this.#send(text)) return;
    this.#full = true;
    this.#unread((this.#untaken += Buffer.byteLength(text)));
  }

  /** The kernel takes more. The server sends what it holds only with another write. */
  #writable(): boolean {
    if (this.#over) return true;
    if (!this.#send(this.#beat)) return false;
    if (!this.#full) return true;
    this.#full = false;
    this.#unread((this.#untaken = 0));
    for (const call of this.#drain) call();
    return true;
  }

  #send(text: string): boolean {
    let taken = true;
    this.bytes += Buffer.byteLength(text);
    this.#res.cork(() => (taken = this.#res.write(text)));
    return taken;
  }

  #await(): void {
    this.#cancelLook = this.#clock.after(limits.stream_look_ms, () => {
      if (this.#over) return;
      this.#res.pause();
      this.#res.resume();
      const silent_ms = this.#clock.now() - this.#written_ms;
      if (!this.#full && silent_ms >= limits.stream_beat_ms) this.write(this.#beat);
      this.#await();
    });
  }
}
