/**
 * `GET /chat/stream/{id}` as a WebSocket: the `token` and `end` frames of the one turn that
 * `POST /chat` began, from `last_token_seq` on. Closing it only detaches (I6).
 */
import { AppError, type ErrorCode, errorBody, errors } from "../../schemas/errors.ts";
import { lastRevision } from "../../schemas/commit.ts";
import { refKey } from "../../schemas/ids.ts";
import { type Identity, must } from "../auth/identity.ts";
import { start_position } from "../live/cursor.ts";
import { conversationRef, type Service } from "../service.ts";
import type { Wire } from "../sockets/socket.ts";
import { type ChatSession, readSession } from "./chat-session.ts";
import { turnOf } from "./messages-stream.ts";
import { type Following, followTurns } from "./turn-stream.ts";

/** What the address asks for. */
export interface ChatStreamAsked extends ChatSession {
  /** Frames up to here, of this attempt, the client has. */
  readonly attempt: number;
  readonly seq: number;
}

/** Throws `not_found`, `bad_request`. */
export function readChatStream(path: string, query: URLSearchParams): ChatStreamAsked {
  const session = readSession(path.split("/").at(-1) ?? "");
  if (session === null) throw new AppError("not_found");
  const number = (name: string, absent: number): number => {
    const wished = query.get(name);
    if (wished === null) return absent;
    if (!/^\d{1,9}$/.test(wished)) throw new AppError("bad_request", `${name} is a number`);
    return Number(wished);
  };
  return { ...session, attempt: number("attempt", 1), seq: number("last_token_seq", 0) };
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
    const { conversation, sequence, attempt, seq } = this.#asked;
    must(this.#who, "conversations.read");
    const ref = conversationRef(this.#who, conversation);
    const { log } = this.#service.ports;
    const access = await this.#service.owners.access(ref, this.#who);
    if (access !== "granted") throw new AppError("not_found");
    const commit = await (sequence === null ? log.first(ref) : log.at(sequence));
    // I10: a place in the log may be anybody's.
    const own = commit !== null && refKey(commit.ref) === refKey(ref);
    const turn = own ? turnOf(commit, commit.command) : null;
    if (commit === null || turn === null) throw new AppError("not_found");
    if (this.#closed) return;
    const begun = lastRevision(commit);
    const before = { ...start_position, revision: commit.revision - 1 };
    // As if it had read up to the turn's beginning: the frames that it has are those of that attempt.
    const from = seq === 0 ? before : { ...before, turn: { turn, attempt, seq } };
    this.#following = followTurns(
      this.#service,
      this.#who,
      ref,
      { from, turn, begun },
      {
        writable: () => this.#wire.writable(),
        cork: (call) => this.#wire.cork(call),
        push: (frame) => {
          if (frame.type !== "event" && frame.turn === turn) this.#wire.send(frame);
        },
        ended: (error) => {
          if (error !== null) this.fail(error.code);
          else if (!this.#closed) this.#wire.close(1000, "");
        },
      },
    );
  }
}
