/**
 * One message of the thread as an element that can be brought up to date. It renders only what
 * changed; while an answer streams, `write` touches nothing but the answer's last blocks.
 */
import type { MessageStatus, ViewMessage } from "./conversation.ts";
import { composing, el, iconButton, textButton } from "./dom.ts";
import { showMarkdown } from "./markdown.ts";
import { wordsOfCode } from "./words.ts";

/** What a reader may do to a message. */
export interface MessageActs {
  regenerate(message: string): void;
  edit(message: string, text: string): void;
  choose(message: string): void;
  cancel(turn: string): void;
  /** False while the conversation takes no commands, e.g. archived. */
  open(): boolean;
}

/** A message and where it stands among its branches. */
export interface Shown {
  readonly message: ViewMessage;
  readonly text: string;
  readonly branches: readonly string[];
}

export interface MessageElement {
  readonly element: HTMLElement;
  show(shown: Shown): void;
  /** The text of an answer that is being written. */
  write(text: string): void;
}

const states: Partial<Record<MessageStatus, string>> = {
  queued: "Waits for its turn.",
  cancelled: "Stopped.",
};

export function messageElement(acts: MessageActs): MessageElement {
  const element = el("article", { class: "turn" });
  const speaker = el("p", { class: "speaker" });
  const said = el("div", { class: "said" });
  const body = el("div");
  const below = el("div");
  said.append(body, below);
  element.append(speaker, said);
  let before = "";
  let written: string | null = null;

  const write = (text: string): void => {
    if (text === written) return;
    written = text;
    if (text === "") body.replaceChildren(thinking());
    else {
      if (body.querySelector(".thinking") !== null) body.replaceChildren();
      showMarkdown(body, text);
    }
  };

  const editor = (text: string, message: string): void => {
    const field = el("textarea", { "aria-label": "Edit the message", rows: 3 });
    field.value = text;
    const close = (): void => {
      form.remove();
      body.hidden = false;
      below.hidden = false;
    };
    const save = (): void => {
      const next = field.value.trim();
      close();
      if (next !== "" && next !== text) acts.edit(message, next);
    };
    field.addEventListener("keydown", (event) => {
      if (composing(event)) return;
      if (event.key === "Escape") {
        event.stopPropagation(); // Escape also stops an answer; here it only leaves the editor
        close();
      } else if (event.key === "Enter" && !event.shiftKey) {
        event.preventDefault();
        save();
      }
    });
    const actions = el("div", { class: "actions" });
    actions.append(textButton("Send", save, "primary"), textButton("Leave it", close));
    const form = el("div", { class: "editor" }, field, actions);
    body.hidden = true;
    below.hidden = true;
    said.append(form);
    field.focus();
  };

  const bar = ({ message, text, branches }: Shown): HTMLElement | null => {
    const acting = acts.open();
    const tools = el("div", { class: "acts" });
    if (branches.length > 1) {
      const at = branches.indexOf(message.id);
      const step = (icon: "left" | "right", label: string, to: string | undefined): void => {
        const button = iconButton(icon, label, () => to !== undefined && acts.choose(to));
        button.disabled = to === undefined || !acting;
        tools.append(button);
      };
      step("left", "Earlier version", branches[at - 1]);
      tools.append(el("span", {}, `${String(at + 1)} of ${String(branches.length)}`));
      step("right", "Later version", branches[at + 1]);
      tools.dataset["branched"] = "";
    }
    const ended = message.status !== "generating" && message.status !== "queued";
    if (ended && text !== "") {
      const copy = iconButton("copy", "Copy", () => void navigator.clipboard.writeText(text));
      tools.append(copy);
    }
    if (message.role === "user" && acting) {
      tools.append(iconButton("pencil", "Edit", () => editor(text, message.id)));
    } else if (message.role === "assistant" && ended && message.status !== "failed" && acting) {
      tools.append(iconButton("again", "Answer again", () => acts.regenerate(message.id)));
    }
    const { turn, status } = message;
    if (status === "queued" && turn !== null) {
      tools.append(textButton("Do not answer", () => acts.cancel(turn), "link"));
    }
    return tools.childElementCount > 0 ? tools : null;
  };

  return {
    element,
    write,
    show(shown) {
      const { message, text, branches } = shown;
      const streaming = message.status === "generating";
      const face = JSON.stringify([message, streaming ? null : text, branches, acts.open()]);
      if (face === before) return streaming ? write(text) : undefined;
      before = face;
      element.dataset["role"] = message.role;
      element.dataset["status"] = message.status;
      element.dataset["message"] = message.id;
      element.classList.toggle("writing", streaming);
      speaker.textContent =
        message.role === "user" ? "You" : message.role === "system" ? "System" : "Colloquy";
      if (message.role === "assistant") {
        body.className = "prose";
        if (streaming || text !== "") write(text);
        else body.replaceChildren();
      } else {
        body.className = "words";
        body.textContent = text;
      }
      const note = states[message.status];
      below.replaceChildren();
      if (note !== undefined) below.append(el("p", { class: "state" }, note));
      if (message.status === "failed") {
        const again = acts.open()
          ? textButton("Try again", () => acts.regenerate(message.id))
          : null;
        const words = el("span", {}, wordsOfCode(message.error?.code ?? "internal"));
        below.append(el("div", { class: "failure", role: "alert" }, words, again));
      }
      const tools = bar(shown);
      if (tools !== null) below.append(tools);
    },
  };
}

const thinking = (): HTMLElement =>
  el(
    "span",
    { class: "thinking", role: "img", "aria-label": "Thinking" },
    el("i"),
    el("i"),
    el("i"),
  );
