/**
 * The thread: the path to the head, one element per message, kept across changes. A token costs one
 * redraw of the answer's last blocks, at most once per animation frame, never of the thread.
 * The view sticks to the bottom until the reader scrolls up.
 */
import type { View } from "./conversation.ts";
import { el, iconButton } from "./dom.ts";
import { type MessageActs, type MessageElement, messageElement, type Shown } from "./message.ts";
import { branches, pathToHead, textOf } from "./tree.ts";

export interface Thread {
  show(view: View): void;
  /** Shows the words a message was sent with until its event comes. */
  expect(id: string, text: string): void;
  forget(id: string): void;
  /** Empties the thread for another conversation; `welcome` stands while there is nothing. */
  clear(welcome: HTMLElement | null): void;
  readonly latest: HTMLElement;
}

const near_px = 60;

export function makeThread(
  scroll: HTMLElement,
  place: HTMLElement,
  spoken: HTMLElement,
  acts: MessageActs,
): Thread {
  const elements = new Map<string, MessageElement>();
  const expected = new Map<string, string>();
  let welcome: HTMLElement | null = null;
  let view: View | null = null;
  let drawing = 0;
  let sticking = true;
  let spokenFor: string | null = null;

  const latest = iconButton("down", "To the newest message", () => {
    sticking = true;
    settle();
  });
  latest.classList.add("latest");
  latest.hidden = true;

  const settle = (): void => {
    if (sticking) scroll.scrollTop = scroll.scrollHeight;
    latest.hidden = sticking;
  };
  let last_top = 0;
  scroll.addEventListener("scroll", () => {
    const below = scroll.scrollHeight - scroll.scrollTop - scroll.clientHeight;
    // Only the reader scrolls up; text that grows below the fold must not let go.
    if (scroll.scrollTop < last_top - 2 && below > near_px) sticking = false;
    else if (below <= near_px) sticking = true;
    last_top = scroll.scrollTop;
    latest.hidden = sticking;
  });
  new ResizeObserver(settle).observe(scroll);

  const shownOf = (now: View): Shown[] => {
    const shown: Shown[] = pathToHead(now).map((message) => ({
      message,
      text: textOf(now, message),
      branches: branches(now, message).map(({ id }) => id),
    }));
    for (const [id, text] of expected) {
      if (now.messages.has(id)) continue;
      const message = { id, role: "user", text, parent: null, turn: null, model: null } as const;
      const entry = { ...message, status: "queued", error: null, createdAt: "" } as const;
      shown.push({ message: entry, text, branches: [id] });
    }
    return shown;
  };

  /** Tells a screen reader the answer once it is whole; word by word would be noise. */
  const speak = (shown: readonly Shown[]): void => {
    const running = shown.find(({ message }) => message.status === "generating")?.message.id;
    if (running !== undefined) spokenFor = running;
    else if (spokenFor !== null) {
      const answer = shown.find(({ message }) => message.id === spokenFor);
      spoken.textContent = answer === undefined ? "" : `Colloquy: ${answer.text}`;
      spokenFor = null;
    }
  };

  const draw = (): void => {
    drawing = 0;
    if (view === null) return;
    const shown = shownOf(view);
    if (shown.length === 0) {
      place.replaceChildren(...(welcome === null ? [] : [welcome]));
      elements.clear();
      return;
    }
    if (elements.size === 0) place.replaceChildren(); // the welcome, or that it loads
    const wanted = new Set(shown.map(({ message }) => message.id));
    for (const [id, { element }] of elements) {
      if (wanted.has(id)) continue;
      element.remove();
      elements.delete(id);
    }
    for (const [index, entry] of shown.entries()) {
      let made = elements.get(entry.message.id);
      if (made === undefined) {
        made = messageElement(acts);
        elements.set(entry.message.id, made);
      }
      made.show(entry);
      if (place.children[index] !== made.element) {
        place.insertBefore(made.element, place.children[index] ?? null);
      }
    }
    speak(shown);
    settle();
  };
  // A hidden tab has no animation frames; it draws when it is seen again.
  const plan = (): void => {
    if (drawing === 0) drawing = requestAnimationFrame(draw);
  };

  return {
    latest,
    show(next) {
      for (const id of expected.keys()) if (next.messages.has(id)) expected.delete(id);
      view = next;
      plan();
    },
    expect(id, text) {
      expected.set(id, text);
      sticking = true;
      plan();
    },
    forget(id) {
      expected.delete(id);
      plan();
    },
    clear(next) {
      welcome = next;
      view = null;
      expected.clear();
      elements.clear();
      sticking = true;
      spokenFor = null;
      place.replaceChildren(
        ...(next === null ? [el("p", { class: "quiet" }, "Loading …")] : [next]),
      );
      latest.hidden = true;
    },
  };
}
