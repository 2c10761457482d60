/**
 * Words of English and Chinese texts as search terms: folded case, light English stems, Chinese words
 * by Intl.Segmenter. Question and text go through the same door, so that they meet.
 */

const cjk = /[\u3400-\u9fff\uf900-\ufaff]/;
const runs = /[\u3400-\u9fff\uf900-\ufaff]+|[\p{L}\p{N}]+(?:['’][\p{L}]+)?/gu;
/** Made when a Chinese word is first met: its dictionary takes a while to load. */
let segmenter: Intl.Segmenter | null = null;
const chinese = (): Intl.Segmenter =>
  (segmenter ??= new Intl.Segmenter("zh", { granularity: "word" }));

export type Language = "en" | "zh";

/** Chinese when a fifth of the letters (weighed as half a word each) are Chinese characters. */
export function languageOf(text: string): Language {
  const sample = text.slice(0, 4_000);
  const wide = sample.match(/[\u3400-\u9fff]/g)?.length ?? 0;
  const words = sample.match(/[A-Za-z]+/g)?.length ?? 0;
  return wide > 0 && wide >= words / 2 ? "zh" : "en";
}

const stop_words = new Set(
  (
    "a an and are as at be been being but by can could did do does for from had has have he her his how i if in into is it its " +
    "me my no not of on or our shall she should so some such than that the their them then there these they this those to " +
    "under up us was we were what when where which while who whom whose why will with would you your about also any am " +
    "please tell say says said text document passage paragraph explain describe give find does mean means according much many " +
    "above below following question answer want know let just here hi hello summarize summarise summary more must may other each all " +
    "的 了 是 在 我 有 和 就 不 人 都 一 一个 上 也 很 到 说 要 去 你 会 着 没有 看 好 自己 这 那 吗 呢 吧 啊 什么 怎么 怎样 如何 哪 哪些 哪个 " +
    "谁 为什么 多少 几 请 问 请问 告诉 根据 文章 文本 文中 这个 那个 这些 那些 与 及 或 被 把 对 为 从 以 于 之 其 而 则 并 将 可以 可 能 " +
    "能 一次 本 次 规定 能否 是否 关于 他 她 它 我们 你们 他们 中 里 下 后 前 个 些 地 得 过 给 让 向 还 又 再 才 只 因为 所以 但 但是 如果 总结 概括 摘要 一下 里面 说明 提到 哪里 何时 时候 内容"
  ).split(" "),
);

/** A light stem: plural, -ing, -ed, -ly, -ion and -e go, when enough of the word is left. */
function stem(word: string): string {
  if (word.length < 4 || !/^[a-z]+$/.test(word)) return word;
  let s = word;
  if (s.endsWith("ies") && s.length > 4) s = `${s.slice(0, -3)}y`;
  else if (/(ss|x|ch|sh)es$/.test(s)) s = s.slice(0, -2);
  else if (s.endsWith("s") && !/(ss|us|is)$/.test(s)) s = s.slice(0, -1);
  if (s.endsWith("ification")) return `${s.slice(0, -7)}y`;
  for (const end of [
    "ization",
    "isation",
    "ation",
    "ing",
    "or",
    "er",
    "ed",
    "ion",
    "ly",
    "ment",
    "ate",
    "e",
  ]) {
    if (s.endsWith(end) && s.length - end.length >= 4) {
      s = s.slice(0, -end.length);
      break;
    }
  }
  // stopped → stop, but not "bill"
  return s.length > 4 && /([bdgmnprt])\1$/.test(s) ? s.slice(0, -1) : s;
}

/** The terms of a text, in order, stop words left out. */
export function terms(text: string): string[] {
  const found: string[] = [];
  for (const [run] of text.matchAll(runs)) {
    if (cjk.test(run)) {
      for (const { segment } of chinese().segment(run))
        if (!stop_words.has(segment)) found.push(segment);
      continue;
    }
    const word = run.toLowerCase().replace(/['’](s|t|re|ve|ll|d|m)$/, "");
    if (word.length > 1 || /\d/.test(word)) if (!stop_words.has(word)) found.push(stem(word));
  }
  return found;
}

/** The characters of a Chinese word, so that 书 finds 图书; [] for all else. */
export const characters = (term: string): string[] =>
  term.length > 1 && cjk.test(term) ? Array.from(term).filter((one) => !stop_words.has(one)) : [];

/** Everyday words of contracts and manuals, so that a question in one language finds a text in the other. */
const glossary: readonly (readonly [zh: string, en: string])[] = [
  ["许可", "license"],
  ["许可证", "license"],
  ["授权", "grant license"],
  ["专利", "patent"],
  ["商标", "trademark"],
  ["版权", "copyright"],
  ["保证", "warranty"],
  ["担保", "warranty"],
  ["质保", "warranty"],
  ["责任", "liability liable"],
  ["修改", "modify modification"],
  ["分发", "distribute distribution"],
  ["发布", "publish release"],
  ["复制", "copy reproduce"],
  ["源代码", "source code"],
  ["源码", "source code"],
  ["代码", "code"],
  ["贡献", "contribution"],
  ["贡献者", "contributor"],
  ["衍生", "derivative"],
  ["作品", "work"],
  ["终止", "terminate termination"],
  ["诉讼", "litigation"],
  ["费用", "fee charge"],
  ["免费", "free charge"],
  ["收费", "fee charge"],
  ["损害", "damages"],
  ["赔偿", "indemnity damages"],
  ["定义", "definitions"],
  ["条件", "conditions"],
  ["条款", "terms"],
  ["通知", "notice"],
  ["声明", "notice statement"],
  ["商业", "commercial"],
  ["用户", "user"],
  ["软件", "software"],
  ["程序", "program"],
  ["法律", "law"],
  ["违反", "violation"],
  ["日期", "date"],
  ["时间", "time"],
  ["价格", "price"],
  ["公司", "company"],
  ["安装", "install"],
  ["配置", "configure configuration"],
  ["错误", "error"],
  ["数据", "data"],
  ["安全", "security"],
  ["再分发", "redistribution"],
  ["目标代码", "object form"],
  ["文件", "file"],
  ["附加", "additional"],
  ["支持", "support"],
  ["销售", "sell"],
  ["图书馆", "library"],
  ["开放", "open opening"],
  ["借阅", "borrow"],
  ["图书", "book"],
  ["儿童", "child children"],
];

/** The same question's terms in the other language, as far as the glossary goes. */
export function translated(question: string): string[] {
  const found = new Set<string>();
  const own = new Set(terms(question));
  for (const [zh, en] of glossary) {
    if (question.includes(zh)) for (const term of terms(en)) found.add(term);
    if (terms(en).some((term) => own.has(term))) for (const term of terms(zh)) found.add(term);
  }
  return [...found];
}
