/** The page's question "really?". Modal, answered by keyboard as well. */
import { el, textButton } from "./dom.ts";

/** True when confirmed; false by the other button or Escape. */
export const confirmBy = (title: string, text: string, action: string): Promise<boolean> =>
  askBy(title, text, { yes: action, no: "Keep it", kind: "danger" });

/** The same in words of one's own. */
export function askBy(
  title: string,
  text: string,
  {
    yes,
    no,
    kind = "primary",
  }: { readonly yes: string; readonly no: string; readonly kind?: string },
): Promise<boolean> {
  return new Promise((resolve) => {
    const dialog = el("dialog", { "aria-label": title });
    const close = (answer: boolean): void => {
      resolve(answer);
      dialog.remove();
    };
    const keep = textButton(no, () => close(false));
    const act = textButton(yes, () => close(true), kind);
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
