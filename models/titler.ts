/**
 * A short title from a conversation's first message, without any model. Pure; used when a conversation
 * titles itself.
 */
import { splitQuestion, intentOf } from "./question.ts";
import { sentences } from "./sentences.ts";

const title_chars_max = 60;
/** A message whose pasted part is shorter than this is a remark and its own title. */
const paste_chars_min = 120;
const untitled = "Untitled";

const plain = (text: string): string =>
  text
    .replace(/```[^\n]*\n?|~~~[^\n]*\n?/g, " ")
    .replace(/!?\[([^\]]*)\]\([^)]*\)/g, "$1")
    .replace(/<[^<>\n]{1,80}>/g, " ")
    .replace(/^\s*(?:#{1,6}|>|[-*+•])\s+/gm, "")
    .replace(/[*_~`]{1,3}(?=\S)|(?<=\S)[*_~`]{1,3}/g, "")
    .replace(/[\s\p{Cc}\p{Cf}]+/gu, (run) => (/^\u200d+$/.test(run) ? run : " "))
    .trim();

/** At most 60 UTF-16 units, cut between words (or Chinese words), never inside a character. */
function cut(text: string): string {
  if (text.length <= title_chars_max) return text;
  let end = 0;
  const wide = /[\u3400-\u9fff]/.test(text.slice(0, title_chars_max));
  const parts = wide
    ? new Intl.Segmenter("zh", { granularity: "word" }).segment(text.slice(0, 2 * title_chars_max))
    : text.slice(0, 2 * title_chars_max).matchAll(/\S+\s*/g);
  for (const part of parts) {
    const piece = "segment" in part ? part.segment : part[0];
    if (end + piece.trimEnd().length > title_chars_max) break;
    end += piece.length;
  }
  if (end > 0) return text.slice(0, end);
  // One endless word.
  let kept = "";
  for (const { segment } of new Intl.Segmenter().segment(text.slice(0, 2 * title_chars_max))) {
    if (kept.length + segment.length > title_chars_max) break;
    kept += segment;
  }
  return kept;
}

const trimmed = (text: string): string =>
  text.replace(
    /^[\s\p{Ps}\p{Pi}"'.,;:!?，。；：！？、-]+|[\s\p{Pe}\p{Pf}"'.,;:!?，。；：！？、…—-]+$/gu,
    "",
  );

/** The first heading or sentence of a paste. */
function opening(document: string): string {
  for (const { text } of sentences(document.slice(0, 4_000))) {
    const line = trimmed(plain(text));
    if (line.length >= 2) return line;
  }
  return "";
}

/**
 * A title of at most 60 UTF-16 units, on one line, without Markdown or punctuation at its end. Of a
 * paste with a question it is the question, unless that only says "summarise this". Never empty.
 */
export function extractTitle(text: string): string {
  const parts = splitQuestion(text);
  const pasted = parts.document.length >= paste_chars_min;
  const { question, document } = pasted ? parts : { question: text, document: "" };
  const asked = plain(question);
  const generic =
    document !== "" && (asked === "" || (intentOf(asked) === "summary" && asked.length < 40));
  const polite = asked.replace(
    /^(?:(?:hi|hello|hey|你好|您好)(?:\s+there)?[\s,.!，。！]+)(?=\S{2})/i,
    "",
  );
  const candidate = generic ? opening(document) : trimmed(polite);
  const title = trimmed(cut(candidate === "" ? trimmed(plain(text)) : candidate));
  return title === "" ? cut(plain(text).slice(0, title_chars_max)).trim() || untitled : title;
}
