/**
 * The page: puts the parts together, decides which conversation is open (the address says it), and
 * carries the reader's wishes to the client. It keeps no state of a conversation itself.
 */
import { openAccount } from "./account.ts";
import { openApi } from "./api.ts";
import { connect, newId } from "./client.ts";
import { makeComposer } from "./composer.ts";
import { showConnection } from "./connection.ts";
import type { View } from "./conversation.ts";
import { el, icon, iconButton, need, textButton } from "./dom.ts";
import { invitationHere, offerToJoin } from "./invitation.ts";
import { makeList } from "./list.ts";
import { openSession, type Session } from "./session.ts";
import { askToSignIn } from "./sign-in.ts";
import { applyTheme, toggleTheme } from "./theme.ts";
import { makeThread } from "./thread.ts";
import { leafBelow } from "./tree.ts";
import { welcomeOf } from "./welcome.ts";
import { wordsOf } from "./words.ts";

applyTheme();
const leave = textButton("Sign out", () => void account.signOut(), "text");
const account = openAccount(
  askToSignIn,
  () => invitationHere() !== null,
  (signedIn) => {
    leave.hidden = !signedIn;
  },
);
const api = openApi(account);
const socket_url = `${location.origin.replace(/^http/, "ws")}/ws/chat`;
let session: Session | null = null;
const client = connect({
  url: socket_url,
  token: (ask) => account.token(ask),
  onState: showConnection(need("connection"), () => client.wake()),
});

const notice = el("div", { class: "notice", role: "alert", hidden: true });
function complain(words: string, retry?: () => void): void {
  const act = textButton(retry === undefined ? "Close" : "Try again", () => {
    notice.hidden = true;
    retry?.();
  });
  notice.replaceChildren(el("span", {}, words), act);
  notice.hidden = false;
}
/** Carries a command out; a refusal is said in words. */
const ask = (act: Promise<unknown>, retry?: () => void): void =>
  void act.catch((error: unknown) => complain(wordsOf(error), retry));

const thread = makeThread(need("scroll"), need("thread"), need("spoken"), {
  open: () => session?.view().status === "active",
  regenerate: (message) => session !== null && ask(client.regenerate(session.id, message)),
  edit: (message, text) => session !== null && ask(client.edit(session.id, message, text)),
  cancel: (turn) => session !== null && ask(client.cancel(session.id, turn)),
  choose(message) {
    if (session !== null) ask(api.change(session.id, { head: leafBelow(session.view(), message) }));
  },
});

/** Whether the address names a conversation; an invitation stays in it until it was used. */
const namesOne = (): boolean => location.hash.startsWith("#/c/");

function send(text: string): void {
  const target = session;
  if (target === null) return;
  if (!namesOne()) {
    history.replaceState(null, "", `#/c/${target.id}`);
    composer.open(target.id, null); // its drafts are its own from now on
  }
  list.setCurrent(target.id);
  let id = "";
  const sending = target.send(text, (made) => {
    id = made;
    if (target === session) thread.expect(id, text);
  });
  sending.catch((error: unknown) => {
    if (target !== session) return;
    thread.forget(id);
    composer.write(text);
    complain(wordsOf(error));
  });
}
const stop = (): void => {
  if (session !== null && session.view().streaming !== null) ask(client.cancel(session.id));
};
const composer = makeComposer({ send, stop });
need("dock").append(thread.latest, notice, composer.element);

const list = makeList(need("list"), api, {
  deleted: (id) => {
    if (session?.id === id) startNew();
  },
  failed: complain,
});

function show(view: View): void {
  thread.show(view);
  composer.setBusy(view.streaming !== null);
  const title = view.title ?? (view.messages.size > 0 ? "New conversation" : "");
  if (need("title").textContent !== title) {
    need("title").textContent = title;
    document.title = title === "" ? "Colloquy" : `${title} · Colloquy`;
  }
  const note =
    view.status === "archived"
      ? "Archived. Restore it to write here."
      : view.status === "deleted"
        ? "This conversation has been deleted."
        : null;
  if (note !== lastNote && session !== null) composer.open(session.id, note);
  lastNote = note;
}
let lastNote: string | null = null;

function open(id: string, fresh: boolean): void {
  if (session?.id === id) return;
  session?.close();
  notice.hidden = true;
  lastNote = null;
  thread.clear(fresh ? welcomeOf((text) => composer.write(text)) : null);
  composer.setBusy(false);
  session = openSession(api, client, id, fresh, {
    changed: show,
    failed(error) {
      thread.clear(el("p", { class: "quiet" }, "This conversation could not be opened."));
      complain(wordsOf(error), () => {
        session = null;
        open(id, fresh);
      });
    },
  });
  composer.open(fresh ? "new" : id, null);
  need("title").textContent = "";
  document.title = "Colloquy";
  list.setCurrent(fresh ? null : id);
  setDrawer(false);
  if (matchMedia("(hover: hover)").matches) composer.focus();
}

function startNew(): void {
  if (namesOne()) history.pushState(null, "", location.pathname);
  session?.close();
  session = null;
  open(newId(), true);
}

function route(): void {
  const id = /^#\/c\/([0-9a-f-]{36})$/.exec(location.hash)?.[1];
  if (id === undefined) startNew();
  else open(id, false);
}

function setDrawer(opened: boolean): void {
  need("drawer").toggleAttribute("data-open", opened);
  need("veil").hidden = !opened;
  if (opened) need("drawer").querySelector<HTMLElement>("button, a")?.focus();
}

const begin = textButton("", startNew);
begin.append(icon("plus"), "New conversation", el("kbd", {}, "Ctrl K"));
need("new").append(begin);
need("bar-menu").append(iconButton("menu", "Conversations", () => setDrawer(true)));
need("veil").addEventListener("click", () => setDrawer(false));
const archive = textButton(
  "Archived",
  () => {
    archive.textContent = list.toggleArchived() ? "Back to active" : "Archived";
  },
  "text",
);
need("drawer-foot").append(archive, leave, iconButton("theme", "Light or dark", toggleTheme));

document.querySelector(".skip")?.addEventListener("click", (event) => {
  // Its address would be another conversation's.
  event.preventDefault();
  need("text").focus();
});
addEventListener("hashchange", () => {
  // A link that was put into the address of an open page.
  if (invitationHere() !== null) location.reload();
  else route();
});
addEventListener("popstate", route);
addEventListener("online", () => client.wake());
document.addEventListener("visibilitychange", () => {
  if (document.visibilityState === "visible") client.wake();
});
document.addEventListener("keydown", (event) => {
  if (event.isComposing || document.querySelector("dialog[open]") !== null) return;
  if (event.key.toLowerCase() === "k" && (event.ctrlKey || event.metaKey)) {
    event.preventDefault();
    startNew();
  } else if (event.key === "Escape") {
    if (need("drawer").hasAttribute("data-open")) setDrawer(false);
    else stop();
  }
});

client.watch({
  changed: (change) => list.apply(change),
  watched: () => void list.load(),
});
route();
ask(offerToJoin(account));
