/**
 * The field where a message is written. A draft is kept per conversation and survives a reload.
 * Enter sends unless an input method is composing: Chinese is confirmed by Enter without sending.
 */
import { composing, el, icon } from "./dom.ts";

export interface Composer {
  readonly element: HTMLElement;
  /** Shows the draft of another conversation. */
  open(conversation: string, note: string | null): void;
  setBusy(busy: boolean): void;
  write(text: string): void;
  focus(): void;
}

const draftKey = (conversation: string): string => `colloquy.draft.${conversation}`;

export function makeComposer(on: { send(text: string): void; stop(): void }): Composer {
  let conversation = "";
  const field = el("textarea", {
    id: "text",
    rows: 1,
    "aria-label": "Message",
    placeholder: "Ask, or paste a text to talk about",
    enterkeyhint: "send",
  });
  const send = el("button", {
    type: "submit",
    class: "round",
    "aria-label": "Send",
    title: "Send",
  });
  send.append(icon("send"));
  const stop = el("button", {
    type: "button",
    class: "round stop",
    "aria-label": "Stop the answer",
    title: "Stop (Esc)",
    hidden: true,
  });
  stop.append(icon("stop"));
  const element = el("form", { class: "composer" }, field, stop, send);

  const fit = (): void => {
    field.style.height = "auto";
    field.style.height = `${String(field.scrollHeight)}px`;
    send.disabled = field.value.trim() === "" || field.disabled;
  };
  const changed = (): void => {
    if (field.value === "") localStorage.removeItem(draftKey(conversation));
    else localStorage.setItem(draftKey(conversation), field.value);
    fit();
  };
  const submit = (): void => {
    const text = field.value.trim();
    if (text === "" || field.disabled) return;
    field.value = "";
    changed();
    on.send(text);
  };
  field.addEventListener("input", changed);
  field.addEventListener("keydown", (event) => {
    if (event.key !== "Enter" || event.shiftKey || composing(event)) return;
    event.preventDefault();
    submit();
  });
  element.addEventListener("submit", (event) => {
    event.preventDefault();
    submit();
  });
  stop.addEventListener("click", () => on.stop());

  return {
    element,
    open(id, note) {
      conversation = id;
      field.value = localStorage.getItem(draftKey(id)) ?? "";
      field.disabled = note !== null;
      field.placeholder = note ?? "Ask, or paste a text to talk about";
      fit();
    },
    setBusy(busy) {
      stop.hidden = !busy;
    },
    write(text) {
      field.value = text;
      changed();
      field.focus();
    },
    focus: () => field.focus(),
  };
}
