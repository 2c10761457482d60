/** The page's two questions: "really?" and "who are you?". Modal, answered by keyboard as well. */
import { el, textButton } from "./dom.ts";

/** True when confirmed; false by the other button or Escape. */
export function confirmBy(title: string, text: string, action: string): Promise<boolean> {
  return new Promise((resolve) => {
    const dialog = el("dialog", { "aria-label": title });
    const close = (answer: boolean): void => {
      resolve(answer);
      dialog.remove();
    };
    const keep = textButton("Keep it", () => close(false));
    const act = textButton(action, () => close(true), "danger");
    dialog.append(
      el("h2", {}, title),
      el("p", {}, text),
      el("div", { class: "actions" }, keep, act),
    );
    dialog.addEventListener("cancel", () => close(false));
    document.body.append(dialog);
    dialog.showModal();
    keep.focus();
  });
}

/** Asks for an access token; stays until there is one. */
export function askToken(): Promise<string> {
  return new Promise((resolve) => {
    const dialog = el("dialog", { "aria-label": "Sign in" });
    const field = el("textarea", { rows: 4, spellcheck: "false", "aria-label": "Access token" });
    const done = (): void => {
      const token = field.value.trim();
      if (token === "") return field.focus();
      dialog.remove();
      resolve(token);
    };
    field.addEventListener("keydown", (event) => {
      if (event.key !== "Enter") return;
      event.preventDefault();
      done();
    });
    dialog.append(
      el("h2", {}, "Sign in"),
      el(
        "p",
        {},
        "Paste an access token. Whoever runs this server makes one with “colloquy token”.",
      ),
      field,
      el("div", { class: "actions" }, textButton("Sign in", done, "primary")),
    );
    dialog.addEventListener("cancel", (event) => event.preventDefault());
    document.body.append(dialog);
    dialog.showModal();
  });
}
