/**
 * One HTTP request and its one answer on uWebSockets.js. The request is copied at once (its native
 * object dies with the handler), an aborted one is never touched again, and a body is bounded in
 * size and time (I11).
 */
import type { HttpRequest, HttpResponse } from "uWebSockets.js";
import { AppError, type ErrorCode, errorBody, errors } from "../../schemas/errors.ts";
import type { Problem } from "../../schemas/http.ts";
import type { Clock } from "../../schemas/ids.ts";
import { limits } from "../../schemas/limits.ts";
import type { Identity } from "../auth/identity.ts";
import type { Bodies, Held } from "../limits/bodies.ts";
import { Outflow } from "./outflow.ts";
import { statusLine } from "./status-line.ts";

export interface Answer {
  readonly status: number;
  readonly headers?: Readonly<Record<string, string>>;
  /** An object is sent as JSON; null sends no body. */
  readonly body: object | Uint8Array | null;
}

/** How a request ended. */
export interface End {
  /** 499 when its client went before there was an answer. */
  readonly status: number;
  /** Of the body. */
  readonly bytes: number;
  /** When the first words of a stream were written, as the clock says; null for other answers. */
  readonly first_byte_at_ms: number | null;
  /** Its client went before it had all. */
  readonly aborted: boolean;
}

/** How a protocol of its own says what went wrong. */
export interface Refusal {
  body(code: ErrorCode, detail?: string): object;
  headers(code: ErrorCode): Readonly<Record<string, string>>;
}

/** A body that takes longer than this is not waited for. */
const body_ms_max = 30_000;

const bodies_full = (): AppError =>
  new AppError("overloaded", "Too many request bodies are on their way; try again.", {
    retry_s: 1,
  });

/** A refused body up to this declared length is read to its end; of a longer one nothing more. */
const drained_bytes_max = 16 * 1024 * 1024;

/** Named with every answer, so that a client can tell what it talks to. */
const api_version = "v1";

const security = {
  "X-Colloquy-Version": api_version,
  // What an answer depends on besides its address.
  Vary: "Accept, Authorization, Origin",
  "X-Content-Type-Options": "nosniff",
  "Referrer-Policy": "no-referrer",
  "Cross-Origin-Opener-Policy": "same-origin",
};

let turn = 0;
let counting = false;
/** Which turn of the event loop this is, as far as requests came in it. */
function thisTurn(): number {
  if (!counting) {
    counting = true;
    setImmediate(() => {
      counting = false;
      turn += 1;
    });
  }
  return turn;
}

export class Exchange {
  readonly method: string;
  readonly path: string;
  readonly query: URLSearchParams;
  readonly headers: ReadonlyMap<string, string>;
  /** The peer's address as text. */
  readonly peer: string;
  readonly traceId: string;
  /** Headers that every answer to this request carries. */
  readonly common: Record<string, string> = { ...security };
  /** The path of its operation, `{name}` for each part that differs; null while none is known. */
  route: string | null = null;
  /** Who asks, once that is known. */
  who: Identity | null = null;
  /** The connection ends behind this answer: whoever asks again is served elsewhere. */
  last = false;
  readonly #res: HttpResponse;
  readonly #clock: Clock;
  readonly #bodies: Bodies;
  /** In which it came. */
  readonly #turn = thisTurn();
  /** Its body, until it is answered. */
  #held: Held | null = null;
  readonly #gone: (() => void)[] = [];
  #ended: ((end: End) => void) | null = null;
  /** Ends the wait for a body; a timer that is left keeps the process from ending. */
  #unwait: () => void = () => undefined;
  #done = false;
  #aborted = false;
  #refusal: Refusal | null = null;

  constructor(
    res: HttpResponse,
    req: HttpRequest,
    { clock, ids: newId, bodies }: { clock: Clock; ids: () => string; bodies: Bodies },
  ) {
    this.#res = res;
    this.#clock = clock;
    this.#bodies = bodies;
    this.method = req.getMethod().toUpperCase();
    this.path = req.getUrl();
    this.query = new URLSearchParams(req.getQuery());
    const headers = new Map<string, string>();
    // One that comes twice is the list of both (RFC 9110 §5.3), so that neither hides the other.
    req.forEach((name, value) => {
      const before = headers.get(name);
      headers.set(name, before === undefined ? value : `${before}, ${value}`);
    });
    this.headers = headers;
    this.peer = Buffer.from(res.getRemoteAddressAsText()).toString();
    const trace = /^00-([0-9a-f]{32})-[0-9a-f]{16}-[0-9a-f]{2}$/.exec(this.header("traceparent"));
    this.traceId = trace?.[1] ?? newId().replaceAll("-", "");
    this.common["X-Request-Id"] = this.traceId;
    res.onAborted(() => {
      this.#finish();
      this.#aborted = true;
      this.#end({ status: 499, bytes: 0, first_byte_at_ms: null, aborted: true });
      for (const call of this.#gone.splice(0)) call();
    });
  }

  /** Calls once when the client goes before it has its whole answer; at once when it has gone. */
  onGone(call: () => void): void {
    if (this.#aborted) call();
    else this.#gone.push(call);
  }

  /** Calls once, when all of its answer was written or its client has gone; not for a WebSocket. */
  onEnd(call: (end: End) => void): void {
    this.#ended = call;
  }

  #end(end: End): void {
    const call = this.#ended;
    this.#ended = null;
    call?.(end);
  }

  /** From here on this request is refused in the words of another protocol. */
  refuseAs(refusal: Refusal): void {
    this.#refusal = refusal;
  }

  header(name: string): string {
    return this.headers.get(name) ?? "";
  }

  get done(): boolean {
    return this.#done;
  }

  /**
   * Whether its length can be read in two ways, which a proxy in front may do otherwise than the server
   * does, and take for another request what was the body of this one (RFC 9112 §6.3).
   */
  get ambiguous(): boolean {
    const coding = this.header("transfer-encoding").toLowerCase();
    return this.header("content-length").includes(",") || !["", "chunked"].includes(coding);
  }

  /** The body's bytes; call it before anything is awaited. Throws `too_large`, `overloaded`. */
  body(bytes_max: number = limits.body_bytes_max): Promise<Buffer> {
    return new Promise((resolve, reject) => {
      const chunks: Buffer[] = [];
      let bytes = 0;
      const held = this.#bodies.open(this.peer, this.header("x-forwarded-for"));
      this.#held = held;
      this.#unwait = this.#clock.after(body_ms_max, () => this.#res.close());
      this.onGone(() => {
        reject(new AppError("bad_request", "The request was aborted."));
      });
      this.#res.onData((chunk, isLast) => {
        // It was answered without its body; nothing of it is kept.
        if (this.#done) return void (chunks.length = 0);
        bytes += chunk.byteLength;
        const room = bytes <= bytes_max && held.take(chunk.byteLength);
        if (!room) {
          this.#unwait();
          chunks.length = 0;
          return reject(bytes > bytes_max ? new AppError("too_large") : bodies_full());
        }
        // The chunk is only lent.
        chunks.push(Buffer.from(new Uint8Array(chunk.slice(0))));
        if (!isLast) return;
        this.#unwait();
        resolve(Buffer.concat(chunks));
      });
    });
  }

  /** The connection has become a WebSocket; nothing may be answered any more. */
  upgraded(): void {
    this.#ended = null;
    this.#finish();
  }

  #finish(): void {
    this.#done = true;
    this.#unwait();
    this.#held?.end();
  }

  answer(answer: Answer): void {
    if (this.#done) return;
    this.#finish();
    // Within the very turn of the loop that brought the request the server would go on to the next one
    // that the same connection has written behind it, answer it, too, and keep all that nobody reads
    // in memory. It hangs up on whoever writes another one before this one is answered.
    if (this.#turn === thisTurn()) setImmediate(() => this.#send(answer));
    else this.#send(answer);
  }

  #send({ status, headers, body }: Answer): void {
    if (this.#aborted) return;
    const json = body !== null && !(body instanceof Uint8Array);
    const bytes = json ? Buffer.from(JSON.stringify(body)) : body;
    const all = {
      ...this.common,
      ...(json ? { "Content-Type": "application/json", "Cache-Control": "no-store" } : {}),
      ...headers,
    };
    const bodiless = this.method === "HEAD" || status === 204 || status === 304;
    this.#res.cork(() => {
      this.#res.writeStatus(statusLine(status));
      for (const [name, value] of Object.entries(all)) this.#res.writeHeader(name, value);
      const close = this.last || (status === 413 && !this.#drains());
      if (!bodiless && !close && bytes !== null && bytes.byteLength > 0) this.#offer(bytes);
      else if (!bodiless) this.#res.end(bytes ?? "", close);
      else if (bytes !== null || close) this.#res.endWithoutBody(bytes?.byteLength ?? 0, close);
      // Given as undefined, the length that is not there is written as 2^63, and the client hangs up.
      else this.#res.endWithoutBody();
    });
    const sent = bodiless ? 0 : (bytes?.byteLength ?? 0);
    this.#end({ status, bytes: sent, first_byte_at_ms: null, aborted: false });
  }

  /** Sends a body; what its client does not take yet waits here, not copied into the server's buffer. */
  #offer(bytes: Uint8Array): void {
    const [, whole] = this.#res.tryEnd(bytes, bytes.byteLength);
    if (whole) return;
    this.#res.onWritable((offset) => {
      const [taken] = this.#res.tryEnd(bytes.subarray(offset), bytes.byteLength);
      return taken;
    });
  }

  /**
   * Answers with a body that is written as it comes. The head leaves at once, with `beat`: text that
   * says nothing in the body's format. When the client has gone, the outflow has, too.
   */
  stream(headers: Readonly<Record<string, string>>, beat: string, status = 200): Outflow {
    const outflow = new Outflow(this.#res, this.#clock, beat);
    // Before it is told that its client has gone, by which its request ends.
    if (!this.#done) this.#onStreamEnd(outflow, status);
    this.onGone(() => outflow.abort());
    if (!this.#done) {
      this.#finish();
      outflow.begin(statusLine(status), { ...this.common, ...headers });
    }
    return outflow;
  }

  #onStreamEnd(outflow: Outflow, status: number): void {
    const call = this.#ended;
    this.#ended = null;
    if (call === null) return;
    void outflow.closed.then(() => {
      const { bytes, first_at_ms: first_byte_at_ms, aborted } = outflow;
      call({ status, bytes, first_byte_at_ms, aborted });
    });
  }

  /**
   * Whether the rest of a body that is too large is read and dropped. Closed at once, its sender
   * would meet a reset in the middle of writing and never read why.
   */
  #drains(): boolean {
    return Number(this.header("content-length") || Number.NaN) <= drained_bytes_max;
  }

  /** RFC 9457, with our code and the trace id. */
  problem(code: ErrorCode, detail?: string, headers: Readonly<Record<string, string>> = {}): void {
    const { status, message } = errors[code];
    if (this.#refusal !== null) {
      const { body, headers: own } = this.#refusal;
      return this.answer({
        status,
        headers: { ...own(code), ...headers },
        body: body(code, detail),
      });
    }
    const problem: Problem = {
      type: `urn:colloquy:error:${code}`,
      title: message,
      status,
      detail: errorBody(code, detail).message,
      code,
      traceId: this.traceId,
    };
    const authenticate = status === 401 ? { "WWW-Authenticate": "Bearer" } : {};
    this.answer({
      status,
      headers: { "Content-Type": "application/problem+json", ...authenticate, ...headers },
      body: problem,
    });
  }
}
