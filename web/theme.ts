/** Light or dark: what the system prefers, until the reader chooses; the choice stays on this device. */
const key = "colloquy.theme";

export function applyTheme(): void {
  const chosen = localStorage.getItem(key);
  if (chosen === "light" || chosen === "dark") document.documentElement.dataset["theme"] = chosen;
}

export function toggleTheme(): void {
  const root = document.documentElement;
  const dark =
    root.dataset["theme"] === undefined
      ? matchMedia("(prefers-color-scheme: dark)").matches
      : root.dataset["theme"] === "dark";
  const next = dark ? "light" : "dark";
  root.dataset["theme"] = next;
  localStorage.setItem(key, next);
}
