/** What stands where no conversation is yet: an invitation, and three ways to begin. */
import { el, textButton } from "./dom.ts";

const ideas = [
  "Summarise the text I paste below in five sentences.",
  "What does this licence allow me to do, and what not?",
  "请用三句话概括下面这段文字。",
] as const;

export function welcomeOf(choose: (text: string) => void): HTMLElement {
  const starts = el("div", { class: "ideas" });
  for (const idea of ideas) starts.append(textButton(idea, () => choose(idea), ""));
  return el(
    "div",
    { class: "welcome" },
    el("h2", {}, "What shall we talk about?"),
    el(
      "p",
      {},
      "Ask something, or paste a long text and ask about it. You can close the page while an answer is being written: it will be here when you come back.",
    ),
    starts,
  );
}
