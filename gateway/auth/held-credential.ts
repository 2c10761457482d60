/**
 * The credential that a socket lives on, from the handshake to its end: it warns before the token
 * expires, takes a newer one of the same user, and ends with the session, the key or the membership
 * that stands behind it. It never becomes another user's or another tenant's, nor one with other rights:
 * what is being read was allowed to the one before (I10).
 */
import { AppError, type ErrorCode } from "../../schemas/errors.ts";
import { limits } from "../../schemas/limits.ts";
import type { Service } from "../service.ts";
import type { Identity } from "./identity.ts";

type Parts = Pick<Service, "authenticate" | "revocations" | "ports">;

/** Who lives on it. */
interface Holder {
  /** The token expires in `token_warning_ms`, or sooner. */
  warn(): void;
  /** It holds no more: it expired, or was ended. */
  end(code: ErrorCode): void;
}

const rightsOf = ({ role, scopes }: Identity): string => JSON.stringify([role, scopes?.toSorted()]);

export class HeldCredential {
  readonly #parts: Parts;
  readonly #holder: Holder;
  readonly #ip: string;
  #identity: Identity;
  #timers: (() => void)[] = [];
  #release = (): void => undefined;
  #closed = false;

  /** `ip`: whose address the socket counts for. */
  constructor(parts: Parts, identity: Identity, ip: string, holder: Holder) {
    this.#parts = parts;
    this.#ip = ip;
    this.#identity = identity;
    this.#holder = holder;
  }

  get identity(): Identity {
    return this.#identity;
  }

  open(): void {
    this.#watchToken();
    this.#watchBehind();
  }

  close(): void {
    this.#closed = true;
    this.#release();
    for (const cancel of this.#timers.splice(0)) cancel();
  }

  /**
   * Goes on with this token, and gives the whole seconds that it has. Throws what refuses it, also
   * `unauthenticated` when it is another user's, or has another role or other scopes.
   */
  async renew(token: string): Promise<number> {
    const { authenticate, ports } = this.#parts;
    const identity = await authenticate(token, this.#ip);
    if (identity.tenant !== this.#identity.tenant || identity.user !== this.#identity.user) {
      const detail = "The token is of another user; open another socket.";
      throw new AppError("unauthenticated", detail);
    }
    if (rightsOf(identity) !== rightsOf(this.#identity)) {
      const detail = "The token has another role or other scopes; open another socket.";
      throw new AppError("unauthenticated", detail);
    }
    if (!this.#closed) {
      this.#identity = identity;
      this.open();
    }
    return Math.floor((identity.expires_ms - ports.clock.now()) / 1000);
  }

  /** Ends when the session, the key or the membership behind the credential ends. */
  #watchBehind(): void {
    this.#release();
    const { revocations } = this.#parts;
    this.#release = revocations.hold(this.#identity, (code) => this.#holder.end(code));
  }

  /** Warns before the token expires, then ends. */
  #watchToken(): void {
    for (const cancel of this.#timers.splice(0)) cancel();
    const { clock } = this.#parts.ports;
    // Longer waits than a timer can hold are taken in steps.
    const until = (at_ms: number, call: () => void): void => {
      const wait = Math.max(0, at_ms - clock.now());
      const step = Math.min(wait, 2 ** 30);
      const next = (): void => (step < wait ? until(at_ms, call) : call());
      this.#timers.push(clock.after(step, next));
    };
    const { expires_ms } = this.#identity;
    until(expires_ms - limits.token_warning_ms, () => this.#holder.warn());
    until(expires_ms, () => this.#holder.end("token_expired"));
  }
}
