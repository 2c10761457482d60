/**
 * Makes DOM nodes from data. Text becomes text nodes and nothing else: no file of the page parses
 * HTML, which is what keeps a model's answer from becoming script.
 */
export type Child = Node | string | null;

export interface Attributes {
  readonly [name: string]: string | number | boolean | null | undefined;
}

/** An element with attributes (`true` is an empty one, `null` and `false` none) and children. */
export function el<K extends keyof HTMLElementTagNameMap>(
  tag: K,
  attributes: Attributes = {},
  ...children: Child[]
): HTMLElementTagNameMap[K] {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value === null || value === undefined || value === false) continue;
    element.setAttribute(name, value === true ? "" : String(value));
  }
  for (const child of children) if (child !== null) element.append(child);
  return element;
}

const icons = {
  menu: "M4 7h16M4 12h16M4 17h10",
  plus: "M12 5v14M5 12h14",
  send: "M12 19V5M6 11l6-6 6 6",
  stop: "M8 8h8v8H8z",
  pencil: "M4 20l1-4L16 5l3 3L8 19zM14 7l3 3",
  again: "M19 12a7 7 0 1 1-2-5l2 2M19 4v5h-5",
  copy: "M9 9h10v10H9zM15 9V5H5v10h4",
  trash: "M5 7h14M10 7V5h4v2M7 7l1 12h8l1-12",
  box: "M4 5h16v4H4zM6 9v10h12V9M10 13h4",
  left: "M14 7l-5 5 5 5",
  right: "M10 7l5 5-5 5",
  theme: "M12 4a8 8 0 1 0 0 16zM12 4a8 8 0 0 1 0 16",
  down: "M12 5v14M6 13l6 6 6-6",
  check: "M5 13l4 4L19 7",
} as const;
export type Icon = keyof typeof icons;

export function icon(name: Icon): SVGSVGElement {
  const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  svg.setAttribute("viewBox", "0 0 24 24");
  svg.setAttribute("aria-hidden", "true");
  const path = document.createElementNS("http://www.w3.org/2000/svg", "path");
  path.setAttribute("d", icons[name]);
  svg.append(path);
  return svg;
}

/** A button that shows an icon and says its name to those who do not see it. */
export function iconButton(name: Icon, label: string, act: () => void): HTMLButtonElement {
  const button = el("button", { type: "button", class: "icon", "aria-label": label, title: label });
  button.append(icon(name));
  button.addEventListener("click", act);
  return button;
}

export function textButton(label: string, act: () => void, kind = "plain"): HTMLButtonElement {
  const button = el("button", { type: "button", class: kind }, label);
  button.addEventListener("click", act);
  return button;
}

/** Whether a key belongs to an input method: Enter then confirms a Chinese word and sends nothing. */
export function composing(event: KeyboardEvent): boolean {
  // Safari ends a composition before the keydown that ended it; only the old key code, 229, tells.
  // oxlint-disable-next-line typescript/no-deprecated
  return event.isComposing || event.keyCode === 229;
}

/** The element of the page's frame with this id; index.html has them all. */
export function need(id: string): HTMLElement {
  const element = document.getElementById(id);
  if (element === null) throw new Error(`index.html has no #${id}`);
  return element;
}
