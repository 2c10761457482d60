/**
 * The list of conversations. It is read over HTTP and follows every device by `changed`; a change
 * older than what is shown is ignored. Renaming, archiving and deleting happen in the row.
 */
import type { ConversationChange } from "../schemas/frames.ts";
import type { Api } from "./api.ts";
import { confirmBy } from "./dialogs.ts";
import { composing, el, iconButton, textButton } from "./dom.ts";
import { wordsOf } from "./words.ts";

export interface List {
  /** Reads it anew, e.g. after a time without connection. */
  load(): Promise<void>;
  apply(change: ConversationChange): void;
  setCurrent(id: string | null): void;
  /** Shows the archived ones instead, or the active ones again; true when archived. */
  toggleArchived(): boolean;
}

export function makeList(
  place: HTMLElement,
  api: Api,
  on: { deleted(id: string): void; failed(words: string): void },
): List {
  const entries = new Map<string, ConversationChange>();
  let current: string | null = null;
  let archived = false;
  let next: string | null = null;
  let renaming: string | null = null;
  let problem: string | null = null;
  let loads = 0;

  const shown = (): ConversationChange[] =>
    [...entries.values()]
      .filter(({ status }) => status === (archived ? "archived" : "active"))
      .toSorted((a, b) => (a.updatedAt < b.updatedAt ? 1 : a.updatedAt > b.updatedAt ? -1 : 0));

  const attempt = async (act: () => Promise<void>): Promise<void> => {
    try {
      await act();
    } catch (error) {
      on.failed(wordsOf(error));
    }
  };

  const read = async (cursor: string | null): Promise<void> => {
    const load = ++loads;
    try {
      const page = await api.conversations(archived ? "archived" : "active", cursor);
      if (load !== loads) return;
      for (const item of page.items) {
        const before = entries.get(item.id);
        if (before === undefined || before.revision <= item.revision) entries.set(item.id, item);
      }
      next = page.next;
      problem = null;
    } catch (error) {
      if (load === loads) problem = wordsOf(error);
    }
    if (renaming === null) draw();
  };

  const rename = (entry: ConversationChange, row: HTMLElement): void => {
    renaming = entry.id;
    const field = el("input", { "aria-label": "Title", maxlength: 200 });
    field.value = entry.title ?? "";
    let done = false;
    const finish = (save: boolean): void => {
      if (done) return;
      done = true;
      renaming = null;
      const title = field.value.trim();
      if (save && title !== "" && title !== entry.title) {
        const known = entries.get(entry.id) ?? entry;
        entries.set(entry.id, { ...known, title });
        void attempt(() => api.change(entry.id, { title }));
      }
      draw();
    };
    field.addEventListener("keydown", (event) => {
      if (composing(event)) return;
      if (event.key === "Enter") finish(true);
      if (event.key === "Escape") {
        event.stopPropagation();
        finish(false);
      }
    });
    field.addEventListener("blur", () => finish(true));
    row.replaceChildren(field);
    field.focus();
    field.select();
  };

  const remove = async ({ id, title }: ConversationChange): Promise<void> => {
    const name = title ?? "New conversation";
    const text = `“${name}” and everything said in it will be gone.`;
    if (!(await confirmBy("Delete this conversation?", text, "Delete"))) return;
    await attempt(async () => {
      await api.remove(id);
      entries.delete(id);
      draw();
      on.deleted(id);
    });
  };

  const rowOf = (entry: ConversationChange): HTMLElement => {
    const { id, title } = entry;
    const name = title ?? "New conversation";
    const row = el("li", { class: "row", "data-id": id, "data-current": id === current });
    const link = el(
      "a",
      { href: `#/c/${id}`, title: name, "aria-current": id === current ? "page" : null },
      name,
    );
    const box = archived ? "Restore" : "Archive";
    const tools = el("span", { class: "tools" });
    tools.append(
      iconButton("pencil", `Rename ${name}`, () => rename(entry, row)),
      iconButton("box", `${box} ${name}`, () => {
        void attempt(() => api.change(id, { archived: !archived }));
      }),
      iconButton("trash", `Delete ${name}`, () => void remove(entry)),
    );
    row.append(link, tools);
    return row;
  };

  const draw = (): void => {
    if (renaming !== null) return;
    const rows = shown();
    const parts: HTMLElement[] = archived ? [el("h2", {}, "Archived")] : [];
    if (rows.length > 0) parts.push(el("ul", {}, ...rows.map(rowOf)));
    else if (problem === null) {
      const words = archived ? "Nothing is archived." : "What you talk about will be listed here.";
      parts.push(el("p", { class: "quiet" }, words));
    }
    if (problem !== null) {
      parts.push(
        el("p", { class: "quiet" }, problem),
        textButton("Try again", () => void read(null), "link"),
      );
    } else if (next !== null) {
      parts.push(textButton("Show older ones", () => void read(next), "link"));
    }
    place.replaceChildren(...parts);
  };

  return {
    load: () => read(null),
    apply(change) {
      const before = entries.get(change.id);
      if (before !== undefined && before.revision > change.revision) return;
      if (change.status === "deleted") {
        entries.delete(change.id);
        if (before !== undefined) on.deleted(change.id);
      } else entries.set(change.id, change);
      draw();
    },
    setCurrent(id) {
      current = id;
      draw();
    },
    toggleArchived() {
      archived = !archived;
      next = null;
      draw();
      void read(null);
      return archived;
    },
  };
}
