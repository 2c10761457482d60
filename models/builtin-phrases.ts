/** The built-in answerer's own sentences. Everything else that it says is quoted. */
import type { Language } from "./words.ts";

export interface Phrases {
  readonly greeting: string;
  readonly thanks: string;
  readonly about: string;
  readonly nothing: string;
  readonly empty: string;
  readonly unclear: string;
  readonly answer: string;
  readonly loose: string;
  readonly more: string;
  readonly noMore: string;
  readonly missing: string;
  readonly summary: string;
  readonly pasted: string;
  readonly under: (heading: string) => string;
  /** What it is and how to have a model instead; said once in a conversation. */
  readonly notice: string;
}

const en: Phrases = {
  greeting:
    "Hello! Paste a text and ask about it: I will quote the sentences that answer best, or the central ones if you ask for a summary.",
  thanks: "You are welcome.",
  about:
    "I am Colloquy's built-in answerer. I work offline and only quote: paste a text, then ask a question or say “summarise”.",
  nothing: "I see no words in that. Paste a text, or ask about one that you pasted before.",
  empty:
    "There is nothing in this conversation yet that I could quote. Paste the text that your question is about.",
  unclear: "What would you like to know? Name the thing that you are looking for in the text.",
  answer: "The text says:",
  loose: "I found no direct answer. This comes closest:",
  more: "Also in the text:",
  noMore: "I have quoted everything in this conversation that fits.",
  missing:
    "I found nothing about that in this conversation. I match words, not meanings, so other words may help.",
  summary: "The central sentences, in the order of the text:",
  pasted: "Thank you for the text. Its central sentences; ask me about any part of it:",
  under: (heading) => `Under “${heading}”:`,
  notice:
    "*I am not a language model: I only quote. For written answers, set `OPENAI_API_KEY` (and, if needed, `OPENAI_BASE_URL` and `COLLOQUY_MODEL`) and start Colloquy again.*",
};

const zh: Phrases = {
  greeting: "你好！把一段文字贴过来再提问：我会引用其中最能回答问题的句子；想要概要，就说“总结”。",
  thanks: "不客气。",
  about: "我是 Colloquy 自带的离线应答器，只会引用原文：请贴上文字，然后提问，或者说“总结”。",
  nothing: "这里面没有文字。请贴上一段文字，或者就之前贴过的内容提问。",
  empty: "这个对话里还没有可以引用的内容。请先贴上与问题有关的文字。",
  unclear: "你想了解什么？请说出要在文中查找的事物。",
  answer: "原文是这样说的：",
  loose: "没有找到直接的回答，最接近的是：",
  more: "文中还提到：",
  noMore: "相关的内容都已经引用过了。",
  missing: "在这个对话里没有找到相关内容。我只按词语匹配，换一种说法也许有用。",
  summary: "文中最核心的句子（按原文顺序）：",
  pasted: "文字已收到，核心句子如下，可以继续就任何部分提问：",
  under: (heading) => `在“${heading}”之下：`,
  notice:
    "*我不是语言模型，只会引用原文。想让模型来写回答，请设置 `OPENAI_API_KEY`（必要时还有 `OPENAI_BASE_URL` 和 `COLLOQUY_MODEL`），再重新启动 Colloquy。*",
};

export const phrases: Readonly<Record<Language, Phrases>> = { en, zh };
