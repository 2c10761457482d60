/** Says how the connection stands: nothing while it is fine, and no alarm for a short blink. */
import type { State } from "./client.ts";
import { textButton } from "./dom.ts";

const patience_ms = 1_200;

/** Shows states in `place`; the result is told each state. `wake` ends the wait for a new attempt. */
export function showConnection(place: HTMLElement, wake: () => void): (state: State) => void {
  let planned: ReturnType<typeof setTimeout> | null = null;
  let now: State = { name: "connecting" };
  const draw = (): void => {
    place.dataset["state"] = now.name;
    if (now.name === "closed") {
      place.replaceChildren(
        "Signed out",
        textButton("Sign in", () => location.reload(), "link"),
      );
    } else if (now.name === "offline") {
      place.replaceChildren("Offline, reconnecting", textButton("Try now", wake, "link"));
    } else if (place.childNodes.length === 0) place.replaceChildren("Connecting");
  };
  return (state) => {
    now = state;
    if (state.name === "online") {
      if (planned !== null) clearTimeout(planned);
      planned = null;
      place.dataset["state"] = "online";
      place.replaceChildren();
    } else planned ??= setTimeout(draw, patience_ms);
    if (state.name !== "online" && place.childNodes.length > 0) draw();
  };
}
