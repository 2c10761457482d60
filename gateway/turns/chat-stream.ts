/**
 * `GET /chat/stream/{id}` as a WebSocket: the `token` and `end` frames of the one turn of a
 * conversation that `POST /chat` began, from `last_token_seq` on. Closing it only detaches (I6).
 */
import { AppError, type ErrorCode, errorBody, errors } from "../../schemas/errors.ts";
import { isUuid } from "../../schemas/ids.ts";
import { type Identity, must } from "../auth/identity.ts";
import { start_position } from "../live/cursor.ts";
import { conversationRef, type Service } from "../service.ts";
import type { Wire } from "../sockets/socket.ts";
import { type Following, followTurns } from "./turn-stream.ts";

/** What the address asks for. */
export interface ChatStreamAsked {
  readonly id: string;
  /** Frames up to here, of this attempt, the client has. */
  readonly attempt: number;
  readonly seq: number;
}

/** Throws `not_found`, `bad_request`. */
export function readChatStream(path: string, query: URLSearchParams): ChatStreamAsked {
  const id = path.split("/").at(-1) ?? "";
  if (!isUuid(id)) throw new AppError("not_found");
  const number = (name: string, absent: number): number => {
    const wished = query.get(name);
    if (wished === null) return absent;
    if (!/^\d{1,9}$/.test(wished)) throw new AppError("bad_request", `${name} is a number`);
    return Number(wished);
  };
  return { id, attempt: number("attempt", 1), seq: number("last_token_seq", 0) };
}

export class ChatStream {
  readonly #service: Service;
  readonly #wire: Wire;
  readonly #who: Identity;
  readonly #asked: ChatStreamAsked;
  #following: Following | null = null;
  #release: () => void = () => {};
  #closed = false;

  constructor(service: Service, wire: Wire, who: Identity, asked: ChatStreamAsked) {
    this.#service = service;
    this.#wire = wire;
    this.#who = who;
    this.#asked = asked;
  }

  open(): void {
    const { clock } = this.#service.ports;
    const expires = Math.min(Math.max(0, this.#who.expires_ms - clock.now()), 2 ** 30);
    const cancel = clock.after(expires, () => this.fail("token_expired"));
    const release = this.#service.revocations.hold(this.#who, (code) => this.fail(code));
    this.#release = () => {
      cancel();
      release();
    };
    this.#follow().catch((error: unknown) =>
      this.fail(error instanceof AppError ? error.code : "internal"),
    );
  }

  /** It has nothing to ask. */
  text(): void {
    this.fail("unknown_type");
  }

  drained(): void {
    this.#following?.drained();
  }

  closed(): void {
    this.#closed = true;
    this.#release();
    this.#following?.stop();
  }

  fail(code: ErrorCode): void {
    if (this.#closed) return;
    this.#wire.send({ type: "error", ...errorBody(code) });
    this.#wire.close(errors[code].close ?? 1008, code);
  }

  async #follow(): Promise<void> {
    const { id, attempt, seq } = this.#asked;
    must(this.#who, "conversations.read");
    const ref = conversationRef(this.#who, id);
    const { log } = this.#service.ports;
    const access = await this.#service.owners.access(ref, this.#who);
    const first = access === "granted" ? await log.first(ref) : null;
    const started = first?.events.find(({ type }) => type === "turn.started");
    if (first === null || started === undefined || !("turn" in started.data)) {
      throw new AppError("not_found");
    }
    if (this.#closed) return;
    const { turn } = started.data;
    const begun = first.revision + first.events.length - 1;
    // As if it had read up to the turn's beginning: the frames that it has are those of that attempt.
    const from = seq === 0 ? start_position : { ...start_position, turn: { turn, attempt, seq } };
    this.#following = followTurns(
      this.#service,
      this.#who,
      ref,
      { from, turn, begun },
      {
        writable: () => this.#wire.writable(),
        cork: (call) => this.#wire.cork(call),
        push: (frame) => {
          if (frame.type !== "event") this.#wire.send(frame);
        },
        ended: (error) => {
          if (error !== null) this.fail(error.code);
          else if (!this.#closed) this.#wire.close(1000, "");
        },
      },
    );
  }
}
