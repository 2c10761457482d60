/**
 * Markdown → DOM. The lexer of `marked` finds the structure; the nodes are made here, one by one,
 * from text: raw HTML in an answer is shown as the text it is, images become links, and a link goes
 * to http, https or mailto or is no link. While an answer streams, only blocks that changed are made.
 */
import { el, icon } from "./dom.ts";
import { lexer, type Token, type Tokens } from "./vendor/marked.ts";

const link_schemes = new Set(["http:", "https:", "mailto:"]);

/** The address of a link that may be followed, else null. Relative addresses are none of ours. */
export function safeHref(href: string): string | null {
  try {
    const url = new URL(href);
    return link_schemes.has(url.protocol) ? url.href : null;
  } catch {
    return null;
  }
}

/** Shows `text` in `target`, leaving the blocks alone that are as they were. */
export function showMarkdown(target: HTMLElement, text: string): void {
  const blocks = lexer(text, { gfm: true }).filter(
    ({ type }) => type !== "space" && type !== "def",
  );
  const before = [...target.children];
  for (const [index, block] of blocks.entries()) {
    const old = before[index];
    const raw = block.raw.trimEnd();
    if (old instanceof HTMLElement && raws.get(old) === raw) continue;
    const made = blockOf(block);
    raws.set(made, raw);
    if (old === undefined) target.append(made);
    else old.replaceWith(made);
  }
  for (const old of before.slice(blocks.length)) old.remove();
}
const raws = new WeakMap<HTMLElement, string>();

// Each `case` below narrows by the token's `type`, which is how marked defines its tokens; the
// union cannot narrow because it also holds a generic token, hence the casts to the named one.
function blockOf(token: Token): HTMLElement {
  switch (token.type) {
    case "heading": {
      const { depth, tokens } = token as Tokens.Heading;
      // The page has its own h1 and h2; an answer's headings go below them.
      const tags = ["h3", "h4", "h5"] as const;
      return inlineInto(el(tags[Math.min(depth, 3) - 1] ?? "h5"), tokens);
    }
    case "paragraph":
      return inlineInto(el("p"), (token as Tokens.Paragraph).tokens);
    case "text": {
      const { tokens, text } = token as Tokens.Text;
      return tokens === undefined ? el("p", {}, text) : inlineInto(el("p"), tokens);
    }
    case "code":
      return codeBlock(token as Tokens.Code);
    case "blockquote":
      return el("blockquote", {}, ...blocksOf((token as Tokens.Blockquote).tokens));
    case "list":
      return listOf(token as Tokens.List);
    case "table":
      return tableOf(token as Tokens.Table);
    case "hr":
      return el("hr");
    default:
      return el("p", {}, token.raw);
  }
}

const blocksOf = (tokens: readonly Token[]): HTMLElement[] =>
  tokens.filter(({ type }) => type !== "space" && type !== "def").map(blockOf);

function listOf(list: Tokens.List): HTMLElement {
  const made = el(list.ordered ? "ol" : "ul");
  if (list.ordered && list.start !== 1) made.setAttribute("start", String(list.start));
  for (const item of list.items) {
    const row = el("li", { class: item.task ? "task" : null });
    if (item.task) {
      row.append(el("input", { type: "checkbox", disabled: true, checked: item.checked === true }));
    }
    for (const token of item.tokens) {
      if (token.type === "space" || token.type === "checkbox") continue;
      const { tokens } = token as Tokens.Text;
      if (token.type === "text" && tokens !== undefined) inlineInto(row, tokens);
      else row.append(blockOf(token));
    }
    made.append(row);
  }
  return made;
}

function tableOf(table: Tokens.Table): HTMLElement {
  const cell = (tag: "th" | "td", { tokens, align }: Tokens.TableCell): HTMLElement =>
    inlineInto(el(tag, { class: align === null ? null : `align-${align}` }), tokens);
  const head = el("tr", {}, ...table.header.map((entry) => cell("th", entry)));
  const rows = table.rows.map((row) => el("tr", {}, ...row.map((entry) => cell("td", entry))));
  const made = el("table", {}, el("thead", {}, head), el("tbody", {}, ...rows));
  return el("div", { class: "table", tabindex: 0, role: "region", "aria-label": "Table" }, made);
}

function codeBlock({ text, lang }: Tokens.Code): HTMLElement {
  const copy = el("button", { type: "button", class: "copy" }, icon("copy"), "Copy");
  copy.addEventListener("click", () => {
    void navigator.clipboard.writeText(text).then(
      () => copy.replaceChildren(icon("check"), "Copied"),
      () => copy.replaceChildren("Copying is not allowed here"),
    );
    setTimeout(() => copy.replaceChildren(icon("copy"), "Copy"), 2_000);
  });
  const name = (lang ?? "").split(/\s/)[0] ?? "";
  const bar = el("div", { class: "code-bar" }, el("span", {}, name || "text"), copy);
  const pre = el("pre", { tabindex: 0 }, el("code", {}, text));
  return el("div", { class: "code" }, bar, pre);
}

function inlineInto<E extends HTMLElement>(parent: E, tokens: readonly Token[] = []): E {
  for (const token of tokens) parent.append(inlineOf(token));
  return parent;
}

function inlineOf(token: Token): Node {
  switch (token.type) {
    case "strong":
      return inlineInto(el("strong"), (token as Tokens.Strong).tokens);
    case "em":
      return inlineInto(el("em"), (token as Tokens.Em).tokens);
    case "del":
      return inlineInto(el("del"), (token as Tokens.Del).tokens);
    case "codespan":
      return el("code", {}, (token as Tokens.Codespan).text);
    case "br":
      return el("br");
    case "link": {
      const { href, tokens } = token as Tokens.Link;
      return linkTo(href, inlineInto(el("span"), tokens));
    }
    case "image": {
      // A picture would tell its host who reads the answer: the reader decides by following a link.
      const { href, text } = token as Tokens.Image;
      return linkTo(href, el("span", {}, text || href));
    }
    case "text": {
      const { tokens, text } = token as Tokens.Text;
      return tokens === undefined ? document.createTextNode(text) : inlineInto(el("span"), tokens);
    }
    case "escape":
      return document.createTextNode((token as Tokens.Escape).text);
    default:
      return document.createTextNode(token.raw);
  }
}

function linkTo(href: string, label: HTMLElement): HTMLElement {
  const safe = safeHref(href);
  if (safe === null) return label;
  const link = el("a", { href: safe, target: "_blank", rel: "noopener noreferrer nofollow" });
  link.append(...label.childNodes);
  return link;
}
