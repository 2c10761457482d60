/**
 * Finds what a message asks and what it only pastes, and what kind of thing is asked. Pure.
 */
import { terms } from "./words.ts";

/** `question` is "" when the message only pastes; `document` is "" when it only asks. */
export interface Asked {
  readonly question: string;
  readonly document: string;
}

const question_chars_max = 400;
const short_chars_max = 300;
const instruction =
  /^(?:please\s+|could you\s+|can you\s+)?(?:summari[sz]e|sum up|tl;?dr|explain|list|tell me|give me|find|describe|according to|based on|extract|quote|answer|translate)\b/i;
const chinese_instruction =
  /^(?:请|帮我|麻烦|总结|概括|归纳|摘要|简述|根据|问题|解释|列出|说明|翻译)/;
const chinese_request = /(?:总结|概括|归纳|摘要|简述)/;
const summary_words =
  /\b(?:summari[sz]e|summary|sum up|tl;?dr|key points?|main (?:points?|ideas?)|overview|in (?:short|brief)|gist|abstract|what(?:'s| is) (?:this|it|the (?:text|document|article|paper)) about)\b|总结|概括|归纳|摘要|概要|大意|要点|简述|主要内容|主旨|讲了什么|讲的是什么|说了什么/i;

function asks(text: string): boolean {
  if (text.length === 0 || text.length > question_chars_max) return false;
  if (/[?？]\s*["”’)）]*$/.test(text) || instruction.test(text)) return true;
  return text.length <= 80 && (chinese_instruction.test(text) || chinese_request.test(text));
}

/** The opening of a paste may end in a colon: "Who signs this contract:". */
const introduces = (text: string): boolean =>
  asks(text) ||
  (text.length <= question_chars_max &&
    /[:：]$/.test(text) &&
    !text.includes("\n") &&
    /\b(?:what|who|how|why|when|where|which|summar\w+|question|text|following|below)\b|什么|谁|如何|怎|哪|总结|概括|以下|下面|问题/i.test(
      text,
    ));

const clean = (question: string): string =>
  question.replace(/^(?:question|q|问题|问)\s*[:：]\s*/i, "").trim();

const sentence_end = /(?<=[.!?。！？])\s*(?=\S)/;

/** Cuts a message into its question and what it pastes. */
export function splitQuestion(message: string): Asked {
  const text = message.trim();
  for (const separator of [/\n\s*\n/, /\n/, sentence_end]) {
    // Only the ends are looked at, so a long paste is not cut into thousands of pieces.
    const tail = text.slice(-4 * question_chars_max).split(separator);
    const last = tail.length > 1 ? (tail.at(-1) ?? "").trim() : "";
    if (last !== "" && asks(last)) {
      // What stands before the question on its own line is told, not asked.
      const own = (last.split(sentence_end).at(-1) ?? "").trim();
      const question = asks(own) ? own : last;
      const document = text.slice(0, text.lastIndexOf(question)).trim();
      return { question: clean(question), document };
    }
    const head = text.slice(0, 4 * question_chars_max).split(separator);
    const first = head.length > 1 ? (head[0] ?? "").trim() : "";
    if (first !== "" && !first.includes("\n") && introduces(first)) {
      return {
        question: clean(first),
        document: text.slice(text.indexOf(first) + first.length).trim(),
      };
    }
  }
  const inline = /^(.{2,60}?[:：])\s*(\S[^]{60,})$/u.exec(text);
  if (inline?.[1] !== undefined && inline[2] !== undefined && introduces(inline[1])) {
    return { question: clean(inline[1]), document: inline[2] };
  }
  if (text.length <= short_chars_max) return { question: text, document: "" };
  return { question: "", document: text };
}

/** Whether a short message states something that a later question may be about. */
export const isStatement = (text: string): boolean =>
  !asks(text) && intentOf(text) === "question" && terms(text).length >= 2;

export type Intent = "greeting" | "thanks" | "about" | "more" | "summary" | "question" | "nothing";

/** What kind of thing a question wants. */
export function intentOf(question: string): Intent {
  const text = question.trim();
  if (!/[\p{L}\p{N}]/u.test(text)) return "nothing";
  if (
    /^(?:hi|hello|hey|good (?:morning|evening|afternoon|day)|greetings|你好|您好|嗨|哈喽|早上好|晚上好|下午好)(?:[\s,!.，。！~～]*(?:there|all|everyone|colloquy|呀|啊))?[\s!.。！~～]*$/iu.test(
      text,
    )
  ) {
    return "greeting";
  }
  if (
    /^(?:thanks?|thank you|thx|many thanks|谢谢|多谢|感谢)[\p{L}\s!.,。！，~]{0,24}$/iu.test(text)
  )
    return "thanks";
  if (
    /^(?:who|what) are you\b|\bare you (?:an?|chatgpt|gpt|human|real)\b|what can you do|^help[!.?]*$|你是谁|你是什么|你能做什么|你会什么|^帮助/i.test(
      text,
    )
  ) {
    return "about";
  }
  if (
    /^(?:(?:tell|show|give) me more|more|go on|continue|and\??|what else|anything else|why|how so|继续|还有(?:呢|吗|什么)?|更多|再说说|为什么|然后呢)[\s?.!？。！]*$/i.test(
      text,
    )
  ) {
    return "more";
  }
  return summary_words.test(text) ? "summary" : "question";
}

/** What a summary shall be about; [] for the whole text. */
export const topicOf = (question: string): string[] => {
  generic ??= new Set(terms(generic_words));
  const told = generic;
  return terms(question.replace(new RegExp(summary_words, "gi"), " ")).filter(
    (term) => !told.has(term),
  );
};

/** Made when a topic is first asked for: it takes a dictionary that few processes need. */
let generic: ReadonlySet<string> | null = null;
const generic_words =
  "text article paper license licence agreement contract document sentence point brief short whole key main idea part section english chinese 全文 要点 句话 文字 文档 协议 合同 主要 内容 大意 英文 中文 一段 段 篇 这篇 这段 三 两 几句";
