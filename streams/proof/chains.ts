/**
 * The hash chains of actors as their stored bytes tell them (I3): each commit names the hash of the one
 * before it and goes on with the next revision. Nothing is opened or unsealed, so no key is needed. A
 * part of the log can be looked at by itself; what it began with is held against the part before it
 * by `join`. Of an actor only its first and its last commit are kept: some 200 bytes.
 */
import { hash } from "node:crypto";
import { empty_head, type Head } from "../../schemas/commit.ts";
import { openCommit, type Opened } from "../log/codec.ts";
import { DamagedCommit } from "../faults.ts";

/** Something that is wrong at a place of the log. */
export interface Break {
  readonly sequence: number;
  /** The subject of its actor: `evt.<tenant>.<kind>.<id>`. */
  readonly subject: string;
  /** The number of the commit's first event; 0 when that cannot be read. */
  readonly revision: number;
  readonly why: string;
}

/** What was read of a part of the log, in a form that threads can hand over without a copy. */
export interface Chained {
  readonly commits: number;
  readonly events: number;
  readonly bytes: number;
  readonly breaks: readonly Break[];
  readonly breaks_total: number;
  readonly ends: Ends;
}

/** What all parts say together. */
export interface Joined extends Omit<Chained, "ends"> {
  readonly actors: number;
}

/** Row n of each column is the n-th actor. Hashes have 32 bytes each. */
interface Ends {
  readonly subjects: readonly string[];
  /** Revision of its first commit here, the number of its last event, and their commits' sequences. */
  readonly numbers: Float64Array<ArrayBuffer>;
  /** What the first commit names as the one before, and the hash of the last. */
  readonly hashes: Uint8Array<ArrayBuffer>;
}

const breaks_max = 1_000;
const hash_bytes = 32;
/** Of one actor in `numbers`. */
const fields = 4;
const [first_revision, last_revision, first_sequence, last_sequence] = [0, 1, 2, 3] as const;
const no_hash = Buffer.alloc(hash_bytes);

/** Follows the chains of one part of the log. */
export class Chains {
  readonly #rows = new Map<string, number>();
  #numbers = new Float64Array(fields * 64);
  #hashes = Buffer.alloc(2 * hash_bytes * 64);
  #commits = 0;
  #events = 0;
  #bytes = 0;
  readonly #breaks: Break[] = [];
  #breaks_total = 0;

  /** The next message of the part; the result is the hash of its bytes. */
  take(sequence: number, subject: string, data: Uint8Array): string {
    const here = hash("sha256", data, "hex");
    this.#commits += 1;
    this.#bytes += data.length;
    let opened: Opened;
    try {
      opened = openCommit(data, { subject, sequence }, null);
    } catch (error) {
      if (!(error instanceof DamagedCommit)) throw error;
      this.#broken({ sequence, subject, revision: 0, why: error.reason });
      // Whoever comes behind it names its bytes, whatever they say.
      this.#put(sequence, subject, null, here);
      return here;
    }
    const { revision, prev, events } = opened.stored;
    this.#events += events.length;
    const row = this.#rows.get(subject);
    if (row !== undefined) {
      const why = follows({ revision, prev }, this.#head(row));
      if (why !== null) this.#broken({ sequence, subject, revision, why });
    }
    this.#put(sequence, subject, { revision, prev, count: events.length }, here);
    return here;
  }

  done(): Chained {
    const subjects = [...this.#rows.keys()];
    return {
      ...{ commits: this.#commits, events: this.#events, bytes: this.#bytes },
      ...{ breaks: this.#breaks, breaks_total: this.#breaks_total },
      ends: {
        subjects,
        numbers: this.#numbers.slice(0, subjects.length * fields),
        hashes: new Uint8Array(this.#hashes.subarray(0, subjects.length * 2 * hash_bytes)),
      },
    };
  }

  #broken(found: Break): void {
    this.#breaks_total += 1;
    if (this.#breaks.length < breaks_max) this.#breaks.push(found);
  }

  #head(row: number): Head {
    const at = (2 * row + 1) * hash_bytes;
    return {
      revision: this.#numbers[row * fields + last_revision] ?? 0,
      sequence: this.#numbers[row * fields + last_sequence] ?? 0,
      hash: this.#hashes.toString("hex", at, at + hash_bytes),
    };
  }

  /** `commit` is null for what cannot be read: it counts as one event behind the last. */
  #put(
    sequence: number,
    subject: string,
    commit: { revision: number; prev: string; count: number } | null,
    here: string,
  ): void {
    let row = this.#rows.get(subject);
    if (row === undefined) {
      row = this.#rows.size;
      this.#rows.set(subject, row);
      this.#grow(row);
      this.#numbers[row * fields + first_revision] = commit?.revision ?? 0;
      this.#numbers[row * fields + first_sequence] = sequence;
      if (commit === null) no_hash.copy(this.#hashes, 2 * row * hash_bytes);
      else this.#hashes.write(commit.prev, 2 * row * hash_bytes, "hex");
    }
    const last = this.#numbers[row * fields + last_revision] ?? 0;
    this.#numbers[row * fields + last_revision] =
      commit === null ? last + 1 : commit.revision + commit.count - 1;
    this.#numbers[row * fields + last_sequence] = sequence;
    this.#hashes.write(here, (2 * row + 1) * hash_bytes, "hex");
  }

  #grow(row: number): void {
    if ((row + 1) * fields <= this.#numbers.length) return;
    const numbers = new Float64Array(2 * this.#numbers.length);
    numbers.set(this.#numbers);
    this.#numbers = numbers;
    this.#hashes = Buffer.concat([this.#hashes, Buffer.alloc(this.#hashes.length)]);
  }
}

/** Why a commit does not come right behind `head`; null when it does. */
function follows(
  commit: { readonly revision: number; readonly prev: string },
  head: Head,
): string | null {
  const before =
    head.sequence === 0 ? "nothing of it lies before" : `before it lies ${head.sequence}`;
  if (commit.revision !== head.revision + 1) {
    return `its first event is number ${commit.revision}, not ${head.revision + 1} (${before})`;
  }
  return commit.prev === head.hash ? null : `it names another commit as the one before (${before})`;
}

/** What parts that lie behind one another say together, as if they had been one. */
export function join(parts: readonly Chained[]): Joined {
  const breaks = parts.flatMap((part) => part.breaks);
  let breaks_total = parts.reduce((total, part) => total + part.breaks_total, 0);
  /** Where an actor's last commit is known: the part and its row there. */
  const heads = new Map<string, readonly [part: number, row: number]>();
  const number = (part: number, row: number, field: number): number =>
    parts[part]?.ends.numbers[row * fields + field] ?? 0;
  const hex = (part: number, row: number, which: 0 | 1): string => {
    const hashes = parts[part]?.ends.hashes ?? no_hash;
    const at = hashes.byteOffset + (2 * row + which) * hash_bytes;
    return Buffer.from(hashes.buffer, at, hash_bytes).toString("hex");
  };
  for (const [at, { ends }] of parts.entries()) {
    for (const [row, subject] of ends.subjects.entries()) {
      const [part, before] = heads.get(subject) ?? [];
      const head =
        part === undefined || before === undefined
          ? empty_head
          : {
              revision: number(part, before, last_revision),
              sequence: number(part, before, last_sequence),
              hash: hex(part, before, 1),
            };
      const revision = number(at, row, first_revision);
      // One that could not be read has been told of.
      const why = revision === 0 ? null : follows({ revision, prev: hex(at, row, 0) }, head);
      if (why !== null) {
        breaks_total += 1;
        breaks.push({ sequence: number(at, row, first_sequence), subject, revision, why });
      }
      heads.set(subject, [at, row]);
    }
  }
  const sum = (of: "commits" | "events" | "bytes"): number =>
    parts.reduce((total, part) => total + part[of], 0);
  return {
    ...{ commits: sum("commits"), events: sum("events"), bytes: sum("bytes"), breaks_total },
    actors: heads.size,
    breaks: breaks.toSorted((a, b) => a.sequence - b.sequence).slice(0, breaks_max),
  };
}
