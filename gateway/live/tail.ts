/**
 * The last commits of a conversation and places to begin folding from, so that a reader that was
 * away for a moment is served without the log. Bounded by commits and by text (I11).
 */
import { type Commit, empty_head, type Head } from "../../schemas/commit.ts";

const commits_max = 64;
const chars_max = 1_000_000;
const quiet_max = 256;

interface Entry {
  readonly commit: Commit;
  readonly before: Head;
  /** No turn ran before it, so a fold may begin here. */
  readonly quiet: boolean;
  readonly chars: number;
}

/** Its text: what of a commit has no small bound. */
export const charsOf = (commit: Commit): number => {
  let chars = 0;
  for (const { data } of commit.events) if ("text" in data) chars += data.text.length;
  return chars;
};

export class Tail {
  #entries: Entry[] = [];
  #chars = 0;
  /** Older places to fold from, ever thinner. */
  #quiet: Head[] = [];

  add(commit: Commit, before: Head, quiet: boolean): void {
    const chars = charsOf(commit);
    this.#entries.push({ commit, before, quiet, chars });
    this.#chars += chars;
    while (this.#entries.length > commits_max || this.#chars > chars_max) {
      const oldest = this.#entries.shift();
      if (oldest === undefined) break;
      this.#chars -= oldest.chars;
    }
    if (!quiet || before.revision === 0) return;
    this.#quiet.push(before);
    if (this.#quiet.length > quiet_max) this.#quiet = this.#quiet.filter((_, at) => at % 2 === 1);
  }

  /** Keeps no commit any more: their content is erased, and only the log knows how they read now. */
  forget(): void {
    this.#entries = [];
    this.#chars = 0;
  }

  /** Where to fold from for a reader at `revision`; `commits` is null when the log must be read. */
  from(revision: number): { base: Head; commits: readonly Commit[] | null } {
    for (let at = this.#entries.length - 1; at >= 0; at--) {
      const entry = this.#entries[at];
      if (entry === undefined || !entry.quiet || entry.before.revision > revision) continue;
      return { base: entry.before, commits: this.#entries.slice(at).map((one) => one.commit) };
    }
    const base = this.#quiet.findLast((head) => head.revision <= revision) ?? empty_head;
    return { base, commits: null };
  }
}
