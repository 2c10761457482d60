/** Says how the connection stands: nothing while it is fine, and no alarm for a short blink. */
import type { State } from "./client.ts";
import { textButton } from "./dom.ts";

const patience_ms = 1_200;
let planned: ReturnType<typeof setTimeout> | undefined;

export function showConnection(place: HTMLElement, state: State, wake: () => void): void {
  clearTimeout(planned);
  if (state.name === "online") {
    place.dataset["state"] = "online";
    place.replaceChildren();
    return;
  }
  if (state.name === "connecting" && place.childNodes.length > 0) return;
  planned = setTimeout(() => {
    place.dataset["state"] = state.name;
    if (state.name === "closed") {
      place.replaceChildren("Signed out", textButton("Sign in", () => location.reload(), "link"));
    } else if (state.name === "offline") {
      place.replaceChildren("Reconnecting", textButton("Now", wake, "link"));
    } else place.replaceChildren("Connecting");
  }, patience_ms);
}
