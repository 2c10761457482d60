/** The page's form for signing in, for making an account, and for bringing an access token. */
import type { TokenPair } from "../schemas/identity.ts";
import { problemOf, reach, type SignedIn } from "./account.ts";
import { el, textButton } from "./dom.ts";
import { forgetInvitation, invitationHere, workspaceOf } from "./invitation.ts";
import { wordsOf } from "./words.ts";

/** As schemas/limits.ts, which is the server's to say. */
const password_chars_min = 8;

type Mode = "login" | "register" | "token";

const titles: Readonly<Record<Mode, string>> = {
  login: "Sign in",
  register: "Create an account",
  token: "Use an access token",
};

function field(name: string, label: string, attributes: Record<string, string>) {
  const input = el("input", { name, id: `sign-${name}`, required: true, ...attributes });
  const row = el("p", { class: "field" }, el("label", { for: input.id }, label), input);
  return { input, row };
}

/** Asks until somebody is signed in. */
export function askToSignIn(): Promise<SignedIn> {
  return new Promise((resolve) => {
    const invitation = invitationHere();
    const name = field("name", "Name", { autocomplete: "name", maxlength: "200" });
    const email = field("email", "E-mail", { type: "email", autocomplete: "username" });
    const password = field("password", "Password", { type: "password" });
    const token = field("token", "Access token", { autocomplete: "off", spellcheck: "false" });
    const all = { name, email, password, token };
    const shown: Readonly<Record<Mode, readonly (keyof typeof all)[]>> = {
      login: ["email", "password"],
      register: ["name", "email", "password"],
      token: ["token"],
    };
    const title = el("h2", {});
    const alarm = el("p", { class: "alarm", role: "alert", hidden: true });
    const submit = el("button", { class: "primary" });
    const others = el("div", { class: "others" });
    const form = el("form", {}, name.row, email.row, password.row, token.row, alarm, submit);
    const dialog = el("dialog", { class: "sign-in", "aria-label": "Sign in" }, title, form, others);
    let mode: Mode = "login";

    const turn = (to: Mode): void => {
      mode = to;
      alarm.hidden = true;
      title.textContent = titles[to];
      submit.textContent = to === "register" ? "Create the account" : "Sign in";
      for (const [key, { row, input }] of Object.entries(all)) {
        const used = shown[to].some((one) => one === key);
        row.hidden = !used;
        input.disabled = !used;
      }
      password.input.minLength = to === "register" ? password_chars_min : 0;
      password.input.autocomplete = to === "register" ? "new-password" : "current-password";
      const rest = (["login", "register", "token"] as const).filter((one) => one !== to);
      others.replaceChildren(
        ...rest.map((one) => textButton(titles[one], () => turn(one), "link")),
      );
      all[shown[to][0] ?? "email"].input.focus();
    };

    const enter = async (): Promise<SignedIn> => {
      if (mode === "token") return { accessToken: token.input.value.trim(), refreshToken: null };
      const invited = invitation === null ? {} : { invitation };
      const who = { email: email.input.value, password: password.input.value };
      if (mode === "register")
        await post("register", { ...who, ...invited, name: name.input.value });
      // Who has an account goes on where the invitation leads; a new one belongs there alone.
      const joins =
        mode === "login" && invitation !== null
          ? { invitation, tenant: workspaceOf(invitation) }
          : {};
      // As schemas/identity.ts.
      return (await (await post("login", { ...who, ...joins })).json()) as TokenPair;
    };

    form.addEventListener("submit", (event) => {
      event.preventDefault();
      submit.disabled = true;
      alarm.hidden = true;
      enter().then(
        (signed) => {
          dialog.remove();
          forgetInvitation();
          resolve(signed);
        },
        (error: unknown) => {
          submit.disabled = false;
          alarm.textContent = wordsOf(error);
          alarm.hidden = false;
        },
      );
    });
    dialog.addEventListener("cancel", (event) => event.preventDefault());
    document.body.append(dialog);
    dialog.showModal();
    turn(invitation === null ? "login" : "register");
  });
}

async function post(what: "login" | "register", body: object): Promise<Response> {
  const answer = await reach(`/api/v1/auth/${what}`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify(body),
  });
  if (answer.ok) return answer;
  throw await problemOf(answer);
}
