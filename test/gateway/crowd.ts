/** A crowd of readers in a process of its own (crowd-readers.ts), asked one question at a time. */
import { fork } from "node:child_process";
import { join } from "node:path";

export type Question =
  | {
      readonly do: "open";
      readonly sockets: number;
      readonly url: string;
      readonly token: string;
      readonly conversation: string;
    }
  | { readonly do: "pause" | "resume" }
  /** Answered when each was told so many events and ends, or something was wrong. */
  | { readonly do: "until"; readonly told: number };

export interface CaughtUp {
  /** From `resume` until each was told all, the quickest first. */
  readonly times_ms: readonly number[];
  /** SHA-256 of what all were told, a line each. */
  readonly story: string;
  readonly wrong: readonly string[];
}

export interface Crowd {
  ask(question: Extract<Question, { do: "until" }>): Promise<CaughtUp>;
  ask(question: Question): Promise<object>;
  end(): Promise<void>;
}

export function openCrowd(): Crowd {
  const child = fork(join(import.meta.dirname, "crowd-readers.ts"), { execArgv: [] });
  const gone = new Promise<void>((resolve) => child.once("exit", () => resolve()));
  return {
    ask: (question: Question) =>
      new Promise<never>((resolve, reject) => {
        // What crowd-readers.ts answers.
        child.once("message", (answer) => resolve(answer as never));
        void gone.then(() => reject(new Error("the crowd is gone")));
        child.send(question);
      }),
    end() {
      child.kill("SIGKILL");
      return gone;
    },
  };
}
