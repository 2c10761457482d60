/**
 * Which sentences answer a question (BM25 with a bonus for covering it) and which stand at the centre
 * of a text (LexRank: a random walk over shared words). Pure; an index is built once per answer.
 */
import type { Sentence } from "./sentences.ts";
import { characters, terms } from "./words.ts";

const k1 = 1.2;
const b = 0.5;
/** Terms of the heading above, and single characters of a Chinese word, count this much. */
const partial_weight = 0.6;
/** Centrality compares sentences pairwise, so only so many take part, spread over the text. */
const central_sentences_max = 200;

interface Entry {
  readonly sentence: Sentence;
  readonly counts: ReadonlyMap<string, number>;
  readonly list: readonly string[];
}

export interface Index {
  readonly entries: Entry[];
  readonly frequency: Map<string, number>;
  /** Terms of all sentences together. */
  length: number;
}

export const emptyIndex = (): Index => ({ entries: [], frequency: new Map(), length: 0 });

export function addSentence(index: Index, sentence: Sentence): void {
  const list = terms(sentence.text);
  const counts = new Map<string, number>();
  for (const term of list) counts.set(term, (counts.get(term) ?? 0) + 1);
  const partial = [...terms(sentence.heading), ...list.flatMap(characters)];
  for (const term of partial) if (!counts.has(term)) counts.set(term, partial_weight);
  for (const term of counts.keys()) index.frequency.set(term, (index.frequency.get(term) ?? 0) + 1);
  index.length += list.length;
  index.entries.push({ sentence, counts, list });
}

const rarity = (index: Index, term: string): number => {
  const n = index.frequency.get(term) ?? 0;
  return Math.log(1 + (index.entries.length - n + 0.5) / (n + 0.5));
};

export interface Hit {
  /** Place in the index, which is the order of the text. */
  readonly at: number;
  readonly score: number;
  /** Which share of the question's weight the sentence covers, 0 to 1. */
  readonly covers: number;
}

/** What kind of sentence a question wants besides its words. */
export interface Wish {
  readonly number: boolean;
  readonly definition: boolean;
}

/** Sentences by how well they answer, best first; those that share no term are left out. */
export function search(index: Index, query: readonly string[], wish: Wish): Hit[] {
  const wanted = [...new Set([...query, ...query.flatMap(characters)])];
  const weights = wanted.map((term) => rarity(index, term));
  const total = weights.reduce((sum, weight) => sum + weight, 0);
  const average = Math.max(1, index.length / Math.max(1, index.entries.length));
  const hits: Hit[] = [];
  for (const [at, { sentence, counts, list }] of index.entries.entries()) {
    let score = 0;
    let covered = 0;
    for (const [n, term] of wanted.entries()) {
      const count = counts.get(term) ?? 0;
      if (count === 0) continue;
      const weight = weights[n] ?? 0;
      covered += count < 1 ? weight * partial_weight : weight;
      score += (weight * count * (k1 + 1)) / (count + k1 * (1 - b + (b * list.length) / average));
    }
    if (score === 0) continue;
    const covers = total === 0 ? 0 : covered / total;
    score *= 0.5 + covers;
    for (let n = 1; n < query.length; n++) {
      const first = list.indexOf(query[n - 1] ?? "");
      if (first >= 0 && list[first + 1] === query[n]) score *= 1.15;
    }
    if (
      wish.number &&
      /\d|[一二三四五六七八九十百千万]+[年月日天个元次册本名位条件张种人岁点倍角周分]|\b(?:one|two|three|four|five|six|seven|ten|thirty|hundred)\b/i.test(
        sentence.text,
      )
    )
      score *= 1.3;
    if (wish.definition && defines(sentence.text, list, wanted)) score *= 2;
    if (sentence.kind === "heading") score *= 0.3;
    if (list.length < 3) score *= 0.6;
    hits.push({ at, score, covers });
  }
  return hits.toSorted((one, other) => other.score - one.score || one.at - other.at);
}

/** `"X" shall mean …`, `X is a …`, `X 是指 …`, with the asked word near its beginning. */
function defines(text: string, list: readonly string[], wanted: readonly string[]): boolean {
  const named = list.slice(0, 5).filter((term) => wanted.includes(term));
  return (
    new Set(named).size * 2 > wanted.length &&
    /\b(?:means?|refers? to|is an?|is the|are)\b|["”]\s+(?:is|are|means)|是指|指的是|称为|是一|定义为|即/i.test(
      text.slice(0, 160),
    )
  );
}

/** The central sentences, best first, without repeating each other; at most `count`. */
export function central(index: Index, count: number, among?: readonly number[]): Hit[] {
  const fit = (at: number): boolean => {
    const entry = index.entries[at];
    if (entry === undefined || entry.sentence.kind !== "prose") return false;
    const size = entry.sentence.text.length * (/[\u4e00-\u9fff]/.test(entry.sentence.text) ? 3 : 1);
    return size >= 40 && size <= 500 && entry.list.length >= 4;
  };
  let pool = (among ?? [...index.entries.keys()]).filter(fit);
  if (pool.length === 0) pool = [...(among ?? index.entries.keys())];
  const step = Math.max(1, pool.length / central_sentences_max);
  const nodes = Array.from(
    { length: Math.min(pool.length, central_sentences_max) },
    (_, n) => pool[Math.floor(n * step)] ?? 0,
  );
  const vectors = nodes.map((at) => unit(index, at));
  const rank = walk(vectors);
  const chosen: Hit[] = [];
  const order = nodes
    .map((at, n) => {
      // The opening of a text, and of a short one above all, says what it is about.
      const early = 1 + 0.35 * Math.max(0, 1 - at / Math.max(6, index.entries.length * 0.1));
      return { at, n, score: (rank[n] ?? 0) * early };
    })
    .toSorted((one, other) => other.score - one.score);
  const taken: ReadonlyMap<string, number>[] = [];
  for (const { at, n, score } of order) {
    const vector = vectors[n];
    if (vector === undefined || taken.some((other) => dot(vector, other) > 0.45)) continue;
    chosen.push({ at, score, covers: 0 });
    taken.push(vector);
    if (chosen.length === count) break;
  }
  return chosen;
}

/** A sentence as a vector of length 1. */
function unit(index: Index, at: number): ReadonlyMap<string, number> {
  const counts = index.entries[at]?.counts ?? new Map<string, number>();
  const vector = new Map<string, number>();
  let square = 0;
  for (const [term, count] of counts) {
    const weight = count * rarity(index, term);
    vector.set(term, weight);
    square += weight * weight;
  }
  const size = Math.sqrt(square) || 1;
  for (const [term, weight] of vector) vector.set(term, weight / size);
  return vector;
}

function dot(one: ReadonlyMap<string, number>, other: ReadonlyMap<string, number>): number {
  const [small, large] = one.size < other.size ? [one, other] : [other, one];
  let sum = 0;
  for (const [term, weight] of small) sum += weight * (large.get(term) ?? 0);
  return sum;
}

/** LexRank by power iteration; edges below 0.05 are noise. */
function walk(vectors: readonly ReadonlyMap<string, number>[]): Float64Array {
  const n = vectors.length;
  const edges = new Float64Array(n * n);
  const sums = new Map<number, number>();
  for (let i = 0; i < n; i++) {
    let sum = 0;
    for (let j = 0; j < n; j++) {
      const one = vectors[i];
      const other = vectors[j];
      if (i === j || one === undefined || other === undefined) continue;
      const similar = j < i ? (edges[j * n + i] ?? 0) : dot(one, other);
      edges[i * n + j] = similar < 0.05 ? 0 : similar;
      sum += edges[i * n + j] ?? 0;
    }
    sums.set(i, sum);
  }
  let rank = new Float64Array(n).fill(1 / Math.max(1, n));
  for (let round = 0; round < 20; round++) {
    const next = new Float64Array(n).fill(0.15 / Math.max(1, n));
    for (let i = 0; i < n; i++) {
      const sum = sums.get(i) ?? 0;
      if (sum === 0) continue;
      const share = (0.85 * (rank[i] ?? 0)) / sum;
      for (let j = 0; j < n; j++) next[j] = (next[j] ?? 0) + share * (edges[i * n + j] ?? 0);
    }
    rank = next;
  }
  return rank;
}
