/** The page's question "really?". Modal, answered by keyboard as well. */
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
