/**
 * What happened in a run: every answer by its operation, status and code, every frame by its type and
 * what was said to it. A fuzzer that only ever meets refusals proves nothing of what lies behind them,
 * so it also tells which operation and frame never succeeded, and which was never refused.
 */
import type { Operation } from "../../gateway/http/operation.ts";
import { clientFrames, type ClientFrame } from "../../schemas/frames.ts";

/** A frame that asks, by its type: what its success and its refusal are called. */
const successes: Readonly<Record<ClientFrame["type"], readonly string[]>> = {
  send: ["ack"],
  edit: ["ack"],
  regenerate: ["ack"],
  cancel: ["ack"],
  subscribe: ["subscribed"],
  unsubscribe: [],
  watch: ["watched"],
  auth: [],
  ping: ["pong"],
};

export interface Tally {
  /** Counts something else by its name. */
  count(what: string): void;
  /** `operation` null: a method that its path does not have. `code` is a problem's, or "". */
  answered(operation: string | null, status: number, code: string, ms: number): void;
  /** A frame was sent, or answered with a frame of this type or this code. */
  framed(type: string, answer: string | null): void;
  /** Lines to print. */
  lines(operations: readonly Operation[]): string[];
}

export function openTally(): Tally {
  const counts = new Map<string, number>();
  const answers = new Map<string, Map<string, number>>();
  const frames = new Map<string, Map<string, number>>();
  const slowest = new Map<string, number>();
  const add = (map: Map<string, number>, what: string): void =>
    void map.set(what, (map.get(what) ?? 0) + 1);
  const within = (map: Map<string, Map<string, number>>, key: string): Map<string, number> => {
    const inner = map.get(key) ?? new Map<string, number>();
    map.set(key, inner);
    return inner;
  };
  const listed = (map: ReadonlyMap<string, number>): string =>
    [...map]
      .toSorted(([, a], [, b]) => b - a)
      .map(([what, count]) => `${count} ${what}`)
      .join(", ");
  return {
    count: (what) => add(counts, what),
    answered(operation, status, code, ms) {
      add(counts, `${Math.floor(status / 100)}xx`);
      const name = operation ?? "(another method)";
      const what = code === "" ? `${status}` : `${status} ${code}`;
      add(within(answers, name), what);
      if (status >= 500)
        slowest.set(`${name} ${what}`, Math.max(ms, slowest.get(`${name} ${what}`) ?? 0));
    },
    framed(type, answer) {
      if (answer === null) add(counts, "frames");
      add(within(frames, type), answer ?? "sent");
    },
    lines(operations) {
      const failures = [...answers].flatMap(([name, statuses]) =>
        [...statuses].flatMap(([what, count]) =>
          what.startsWith("5")
            ? [`  ${name}: ${count} ${what}, at most ${slowest.get(`${name} ${what}`)} ms`]
            : [],
        ),
      );
      const of = (id: string): string[] => [...(answers.get(id)?.keys() ?? [])];
      const ids = operations.map(({ id }) => id);
      const never = (what: string, is: (status: string) => boolean, among = ids): string[] => {
        const missing = among.filter((id) => !of(id).some(is));
        return missing.length === 0 ? [] : [`never ${what}: ${missing.join(", ")}`];
      };
      const guarded = operations.flatMap(({ id, access }) => (access === "public" ? [] : [id]));
      const types = Object.keys(clientFrames) as ClientFrame["type"][]; // the keys of that object
      const mute = types.filter((type) => {
        const heard = frames.get(type);
        const wanted = successes[type];
        return heard === undefined || (wanted.length > 0 && !wanted.some((one) => heard.has(one)));
      });
      return [
        listed(counts),
        ...(failures.length === 0 ? [] : ["answers of 5xx:", ...failures]),
        ...never("answered", () => true),
        ...never("successful", (status) => status < "400"),
        ...never("refused", (status) => status >= "400", guarded),
        ...(mute.length === 0 ? [] : [`frames without success: ${mute.join(", ")}`]),
        ...[...frames].map(([type, heard]) => `frame ${type}: ${listed(heard)}`),
        ...ids.map((id) => `${id}: ${listed(answers.get(id) ?? new Map<string, number>())}`),
      ];
    },
  };
}
