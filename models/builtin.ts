/**
 * The offline answerer: with no provider configured it answers from what stands in the conversation,
 * and only by quoting it. Invariant: every quoted line is text of the conversation; nothing is made up.
 * It works in small steps between which the event loop goes on, since it shares the process with
 * everything else, and it ends at the next step when it is aborted.
 */
import { setImmediate } from "node:timers/promises";
import type { ModelDelta, ModelMessage, ModelRequest } from "../schemas/models.ts";
import { phrases, type Phrases } from "./builtin-phrases.ts";
import { intentOf, isStatement, splitQuestion, topicOf, type Intent } from "./question.ts";
import { addSentence, central, emptyIndex, search, type Hit, type Index } from "./rank.ts";
import { sentences } from "./sentences.ts";
import { countMessages, countTokens } from "./token-count.ts";
import { languageOf, terms, translated, type Language } from "./words.ts";

export const builtin_provider = "builtin";
export const builtin_model = "builtin-extractive";

/** Work between two yields to the loop: about 2 ms. */
const step_chars = 2_000;
const pieces_per_step = 16;
const quotes_max = 3;
/** A paste shorter than this is a remark, not a document to summarise. */
const document_chars_min = 120;

interface Sources {
  readonly index: Index;
  /** Where the newest document begins and ends in the index; the whole index when there is none. */
  readonly newest: { from: number; to: number };
}

/** See `Models.generate`. */
export async function* generateBuiltin(
  request: ModelRequest,
  signal: AbortSignal,
): AsyncGenerator<ModelDelta, void, void> {
  signal.throwIfAborted();
  const text = await answer(request.messages, signal);
  let n = 0;
  for (const piece of text.match(
    /[\u3000-\u9fff\uff00-\uffef]|[^\s\u3000-\u9fff\uff00-\uffef]+\s*|\s+/g,
  ) ?? []) {
    if (n++ % pieces_per_step === 0) await setImmediate();
    signal.throwIfAborted();
    yield { type: "text", text: piece };
  }
  const tokensIn = countMessages(request.messages);
  const usage = { tokensIn, tokensOut: countTokens(text), costUsd: "0.000000", estimated: false };
  yield { type: "finish", finish: "stop", usage };
}

/** The whole answer. The last message is the one that is answered. */
async function answer(messages: readonly ModelMessage[], signal: AbortSignal): Promise<string> {
  const last = messages.at(-1)?.text ?? "";
  const { question, document } = splitQuestion(last);
  const language = languageOf(question === "" ? document : question);
  const say = phrases[language];
  const first = !messages.some(({ role }) => role === "assistant");
  const noticed = (body: string, always = false): string =>
    first || always ? `${body}\n\n${say.notice}` : body;

  const intent: Intent = question === "" ? "summary" : intentOf(question);
  if (document === "") {
    if (intent === "greeting") return noticed(say.greeting);
    if (intent === "thanks") return say.thanks;
    if (intent === "about") return noticed(say.about, true);
    if (intent === "nothing") return noticed(say.nothing);
  }
  const sources = await gather(messages, document, signal);
  if (sources.index.entries.length === 0) return noticed(say.empty, true);

  if (intent === "summary") {
    const { from, to } = sources.newest;
    const hits = summarise(sources.index, topicOf(question), from, to);
    return noticed(
      `${question === "" ? say.pasted : say.summary}\n\n${quote(sources.index, hits, say)}`,
    );
  }
  const { body, found } = reply(messages, question, intent, language, sources);
  return noticed(body, !found);
}

/** The sentences of everything that was said or pasted, oldest first, without our own answers. */
async function gather(
  messages: readonly ModelMessage[],
  document: string,
  signal: AbortSignal,
): Promise<Sources> {
  const texts: string[] = [];
  for (const { role, text } of messages.slice(0, -1)) {
    if (role === "assistant") {
      if (!isOurs(text)) texts.push(text);
      continue;
    }
    if (role === "system") {
      texts.push(text);
      continue;
    }
    const asked = splitQuestion(text);
    if (asked.document !== "") texts.push(asked.document);
    else if (isStatement(asked.question)) texts.push(asked.question);
  }
  if (document !== "") texts.push(document);

  const index = emptyIndex();
  const newest = { from: 0, to: 0 };
  let worked = 0;
  for (const text of texts) {
    const from = index.entries.length;
    for (const sentence of sentences(text)) {
      addSentence(index, sentence);
      worked += sentence.text.length;
      if (worked < step_chars) continue;
      worked = 0;
      await setImmediate();
      signal.throwIfAborted();
    }
    if (text.length >= document_chars_min || newest.to === 0 || text === document) {
      Object.assign(newest, { from, to: index.entries.length });
    }
  }
  return { index, newest };
}

/** Our own answers quote; to quote them again would only repeat. */
const isOurs = (text: string): boolean =>
  Object.values(phrases).some((say) =>
    [
      say.answer,
      say.loose,
      say.more,
      say.summary,
      say.pasted,
      say.greeting,
      say.about,
      say.thanks,
      say.nothing,
      say.empty,
      say.unclear,
      say.noMore,
      say.missing,
    ].some((phrase) => text.startsWith(phrase)),
  );

function summarise(index: Index, topic: readonly string[], from: number, to: number): Hit[] {
  const inside = (at: number): boolean => at >= from && at < to;
  const all = Array.from({ length: to - from }, (_, n) => from + n);
  const size = to - from;
  const count = size <= 6 ? 2 : size <= 25 ? 3 : size <= 80 ? 4 : 5;
  const about =
    topic.length === 0 ? [] : search(index, topic, { number: false, definition: false });
  const pool = about
    .map(({ at }) => at)
    .filter(inside)
    .slice(0, 40);
  return central(index, count, pool.length > 0 ? pool : all);
}

function reply(
  messages: readonly ModelMessage[],
  question: string,
  intent: Intent,
  language: Language,
  sources: Sources,
): { body: string; found: boolean } {
  const { index, newest } = sources;
  const say = phrases[language];
  const follows = intent === "more" || terms(question).length === 0;
  const wanted = follows ? earlierQuestion(messages) : question;
  if (wanted === null) return { body: say.unclear, found: true };
  const quoted = messages
    .filter(({ role }) => role === "assistant")
    .map(({ text }) => text)
    .join("\n");
  const wish = {
    number:
      /\b(?:how (?:many|much|long|old|often)|when|what (?:year|date|time|percentage)|price|cost)\b|多少|几|何时|什么时候|多久|多长|日期|哪一年|哪年/i.test(
        wanted,
      ),
    definition:
      /\b(?:what(?:'s| is| are| does)|define|definition|meaning|who is)\b|是什么|什么是|指什么|是指|定义|含义|什么意思/i.test(
        wanted,
      ),
  };
  const own = terms(wanted);
  // The other language's words stand in only where the text has none of the question's own.
  const foreign = own.some((term) => index.frequency.has(term)) ? [] : translated(wanted);
  const hits = search(index, foreign.length > 0 ? foreign : own, wish)
    .map((hit) =>
      hit.at >= newest.from && hit.at < newest.to ? { ...hit, score: hit.score * 1.1 } : hit,
    )
    .map((hit) => underHeading(index, hit))
    .filter((hit) => !follows || !quoted.includes(index.entries[hit.at]?.sentence.text ?? ""))
    .toSorted((one, other) => other.score - one.score);
  const best = hits[0];
  if (best === undefined) {
    return follows ? { body: say.noMore, found: true } : { body: say.missing, found: false };
  }
  const chosen = new Map<string, Hit>();
  for (const hit of hits) {
    if (hit.score < best.score * 0.6 || chosen.size === quotes_max) break;
    const text = index.entries[hit.at]?.sentence.text ?? "";
    if (!chosen.has(text)) chosen.set(text, hit);
  }
  const sure = best.covers >= (language === "zh" ? 0.15 : 0.3);
  const intro = follows ? say.more : sure ? say.answer : say.loose;
  return { body: `${intro}\n\n${quote(index, [...chosen.values()], say)}`, found: true };
}

/** A heading is no answer; the sentence below it may be. */
function underHeading(index: Index, hit: Hit): Hit {
  const entry = index.entries[hit.at];
  const below = index.entries[hit.at + 1];
  return entry?.sentence.kind === "heading" &&
    below !== undefined &&
    below.sentence.kind === "prose"
    ? { ...hit, at: hit.at + 1 }
    : hit;
}

/** The newest question before the last message that named anything; null when there was none. */
function earlierQuestion(messages: readonly ModelMessage[]): string | null {
  for (const { role, text } of messages.slice(0, -1).toReversed()) {
    if (role !== "user") continue;
    const { question } = splitQuestion(text);
    if (intentOf(question) === "question" && terms(question).length > 0) return question;
  }
  return null;
}

/** Sentences as Markdown quotations in the order of the text, under the headings they stand under. */
function quote(index: Index, hits: readonly Hit[], say: Phrases): string {
  const parts: string[] = [];
  let heading = "";
  let code: string[] = [];
  const endCode = (): void => {
    if (code.length > 0) parts.push(["```", ...code, "```"].join("\n"));
    code = [];
  };
  for (const { at } of hits.toSorted((one, other) => one.at - other.at)) {
    const sentence = index.entries[at]?.sentence;
    if (sentence === undefined) continue;
    if (sentence.kind === "code") {
      code.push(sentence.text.replaceAll("```", "'''"));
      continue;
    }
    endCode();
    if (sentence.heading !== heading && sentence.heading !== "") {
      parts.push(say.under(sentence.heading));
    }
    heading = sentence.heading;
    parts.push(`> ${sentence.text}`);
  }
  endCode();
  return parts.join("\n\n");
}
