/**
 * Cuts pasted text into sentences that can be quoted: paragraphs whose lines were wrapped are joined
 * again, headings are remembered for what stands below them, code and lists keep their lines.
 * What it returns is always text of the source with its white space folded, never a rewording.
 */

export interface Sentence {
  readonly text: string;
  /** The heading above, "" when there is none. */
  readonly heading: string;
  readonly kind: "prose" | "heading" | "code";
}

const splitter = new Intl.Segmenter("en", { granularity: "sentence" });
/** A sentence that goes on after these has not ended. */
const goes_on =
  /(?:\b(?:e\.g|i\.e|etc|vs|cf|no|nos|fig|sec|inc|ltd|co|corp|mr|mrs|ms|dr|prof|st|u\.s|approx|art)\.|^\(?[\dA-Za-z]{1,3}[.)]|\b[A-Z]\.)$/i;
const list_item =
  /^\s*(?:[-*+•·]\s+|\(?(?:\d{1,3}(?:\.\d+)*|[a-z]|[ivx]{1,4})[.)]\s+|[一二三四五六七八九十]+、|（[一二三四五六七八九十\d]+）)/;
/** "3. Grant of Patent License." in front of its paragraph; "一、办证须知" on a line of its own. */
const run_in_heading = /^\d+(?:\.\d+)*\.?\s+[A-Z][^.;:,]{1,60}\.$/;
const title_line =
  /^\s*(?:#{1,6}\s|(?:[一二三四五六七八九十]+、|第[一二三四五六七八九十百\d]+[章节条部分编])[^，。；！？：]{0,20}$)/;
const quoted_chars_max = 900;
const wide = /[\u3000-\u9fff\uff00-\uffef]/;

const fold = (text: string): string => text.replace(/\s+/g, " ").trim();

/** Wrapped lines as one: no blank between two Chinese characters. */
const joinLines = (lines: readonly string[]): string =>
  lines.reduce((text, line) => {
    const next = line.trim();
    if (text === "") return next;
    return wide.test(text.at(-1) ?? "") && wide.test(next[0] ?? "")
      ? text + next
      : `${text} ${next}`;
  }, "");

/** A line of its own without an end of sentence, short, that begins like a title. */
function isHeading(lines: readonly string[]): boolean {
  const line = fold(lines.join(" "));
  if (/^#{1,6}\s/.test(line)) return true;
  if (/^copyright\b/i.test(line)) return false;
  if (lines.length > 2 || line.length > 70 || line.length < 2) return false;
  if (/[.!?。！？;；,，:：]$/.test(line) && !/^\d+(\.\d+)*\.?\s[^.]*\.?$/.test(line)) return false;
  if (wide.test(line)) return line.length <= 24 && !/[，。；]/.test(line);
  return /^(?:\d+(?:\.\d+)*\.?\s+)?[A-Z"“]/.test(line) && line.split(" ").length <= 9;
}

/** A sentence that is too long to quote is cut at its semicolons. */
function pieces(text: string): string[] {
  if (text.length <= quoted_chars_max) return [text];
  const parts: string[] = [];
  for (const part of text.split(/(?<=[;；])\s*/)) {
    const last = parts.at(-1);
    if (last !== undefined && last.length + part.length < quoted_chars_max / 2) {
      parts[parts.length - 1] = `${last} ${part}`;
    } else parts.push(part);
  }
  return parts
    .flatMap((part) => part.match(/.{1,900}(?:\s|$)|.{1,900}/gsu) ?? [])
    .map((part) => part.trim());
}

function split(paragraph: string): string[] {
  const found: string[] = [];
  let open = "";
  for (const { segment } of splitter.segment(paragraph)) {
    open += segment;
    const text = open.trim();
    const closed = /[。！？；!?]["”』」）)]*$/.test(text) || !goes_on.test(text);
    if (closed) {
      found.push(...pieces(text));
      open = "";
    }
  }
  if (open.trim() !== "") found.push(...pieces(open.trim()));
  return found.filter((text) => /[\p{L}\p{N}]/u.test(text));
}

/** Groups of lines that belong together. */
function* blocks(text: string): Generator<{ lines: string[]; code: boolean }> {
  let lines: string[] = [];
  let fence = false;
  for (const line of text.split(/\r\n|\r|\n/)) {
    if (/^\s*(```|~~~)/.test(line)) {
      if (lines.length > 0) yield { lines, code: fence };
      lines = [];
      fence = !fence;
      continue;
    }
    const breaks = line.trim() === "" || /^[\s=*_~-]+$/.test(line);
    const begins = !fence && (list_item.test(line) || title_line.test(line));
    const after_title = !fence && lines.length === 1 && title_line.test(lines[0] ?? "");
    if ((breaks && !fence) || begins || after_title) {
      if (lines.length > 0) yield { lines, code: fence };
      lines = [];
    }
    if (!breaks || fence) lines.push(line);
  }
  if (lines.length > 0) yield { lines, code: fence };
}

/** Code without a fence: most lines end or begin as no prose does. */
const looksLikeCode = (lines: readonly string[]): boolean =>
  lines.length > 1 &&
  lines.filter((line) =>
    /[{};]\s*$|^\s*(?:import|const|let|def|return|class|function|#include|\/\/|<\/?\w+)\b|=>|\)\s*:$/.test(
      line,
    ),
  ).length *
    2 >
    lines.length;

/** The sentences of a text, one paragraph after another, so that a caller can yield between them. */
export function* sentences(text: string): Generator<Sentence> {
  let heading = "";
  for (const { lines, code } of blocks(text)) {
    if (code || looksLikeCode(lines)) {
      for (const line of lines) {
        const kept = line.trim().slice(0, quoted_chars_max);
        if (/[\p{L}\p{N}]/u.test(kept)) yield { text: kept, heading, kind: "code" };
      }
      continue;
    }
    if (isHeading(lines)) {
      heading = fold(
        lines
          .join(" ")
          .replace(/^#{1,6}\s+/, "")
          .replace(/\s#+$/, ""),
      );
      yield { text: heading, heading: "", kind: "heading" };
      continue;
    }
    const quote = lines.map((line) => line.replace(/^\s*(?:>\s?)+/, ""));
    const found = split(fold(joinLines(quote)));
    for (const [n, sentence] of found.entries()) {
      if (n === 0 && found.length > 1 && run_in_heading.test(sentence)) {
        heading = sentence.replace(/\.$/, "");
        yield { text: heading, heading: "", kind: "heading" };
        continue;
      }
      yield { text: sentence.replace(/^[-*+•·]\s+/, ""), heading, kind: "prose" };
    }
  }
}
