/**
 * `colloquy chat`: a conversation in the terminal, by the same client library as the page. It finds
 * the gateway that runs on the data folder, or starts one for itself. With a pipe it takes one message
 * and prints the answer alone.
 */
import { resolve } from "node:path";
import { createInterface, type Interface } from "node:readline";
import { text as readAll } from "node:stream/consumers";
import { isUuid } from "../schemas/ids.ts";
import { type Client, ClientError, connect, newId } from "../web/client.ts";
import { type Arguments, data_flag } from "./line/arguments.ts";
import type { Deed } from "./line/command.ts";
import { CliError, exit_usage } from "./line/cli-error.ts";
import { type Config, readConfig } from "./config.ts";
import { liveOwner } from "./folder/folder-lock.ts";
import { start } from "./serve.ts";
import { complain, reporter, say } from "./line/terminal.ts";
import { tokenFor } from "./token.ts";
import { roles } from "./wire.ts";

export const chat: Deed = {
  summary: "talks in the terminal; words or a pipe are one message",
  words: "<words>",
  words_max: 100,
  flags: {
    conversation: "<id> to go on with",
    model: "<name> of the model that answers",
    url: "<url> of a gateway; the one of the data folder when absent",
    token: "<token> to sign in there with",
    ...data_flag,
  },
  run,
};

const help = `/new  begins another conversation     /list  shows the latest ones
/open <number or id>  goes on with one    /stop  ends the answer (or Ctrl-C)
/help  shows this                         /quit  leaves (or Ctrl-D)`;

interface Door {
  readonly url: string;
  readonly token: () => Promise<string>;
  close(): Promise<void>;
}

async function run(given: Arguments): Promise<number> {
  const conversation = given.value("conversation") ?? newId();
  if (!isUuid(conversation)) throw new CliError("--conversation is a lowercase UUID.", exit_usage);
  const door = await openDoor(given.value("url"), given.value("token"), given.value("data"));
  const model = given.value("model");
  const screen = new Screen(door, conversation, model);
  try {
    const said = given.rest.join(" ");
    if (said !== "") return await screen.once(said);
    if (!process.stdin.isTTY) return await screen.once(await readAll(process.stdin));
    return await screen.talk();
  } finally {
    screen.close();
    await door.close();
  }
}

/** The gateway to talk to, and how to sign in there. */
async function openDoor(
  url: string | undefined,
  token: string | undefined,
  data: string | undefined,
): Promise<Door> {
  if (url !== undefined && !URL.canParse(url))
    throw new CliError("--url is not a URL.", exit_usage);
  const config = readConfig({ COLLOQUY_DATA: data });
  const signed = (): Promise<string> =>
    token === undefined ? ownToken(config) : Promise.resolve(token);
  const owner = liveOwner(resolve(config.get("COLLOQUY_DATA") ?? ".colloquy"));
  const there = url ?? owner?.url ?? null;
  if (there !== null) return { url: there, token: signed, close: () => Promise.resolve() };
  if (config.get("NATS_URL") !== null) {
    throw new CliError(
      "Name the gateway with --url: with NATS_URL it may run anywhere.",
      exit_usage,
    );
  }
  if (process.stdin.isTTY) complain("Nothing runs on this data folder; starting it for this chat.");
  const own = readConfig({ COLLOQUY_DATA: data, COLLOQUY_PORT: "0", COLLOQUY_NATS_PORT: "0" });
  const { services, system } = await start(own, new Set(roles), () => undefined, reporter("error"));
  await system.ready(20_000);
  return {
    url: system.url ?? "",
    token: signed,
    async close() {
      await system.stop();
      await services.stop();
    },
  };
}

const ownToken = async (config: Config): Promise<string> =>
  tokenFor(config, {
    tenant: config.get("COLLOQUY_TENANT") ?? "main",
    user: "you",
    role: "member",
  });

/** One conversation at a time on a terminal. */
class Screen {
  readonly #door: Door;
  readonly #client: Client;
  readonly #model: string | undefined;
  #conversation: string;
  /** What ends the following of the conversation that is shown. */
  #leave = (): void => undefined;
  #turn: string | null = null;
  #attempt = 0;
  #ended: ((ok: boolean) => void) | null = null;
  #trouble = "";

  constructor(door: Door, conversation: string, model: string | undefined) {
    this.#door = door;
    this.#model = model;
    this.#conversation = conversation;
    let first = true;
    this.#client = connect({
      url: `${door.url.replace(/^http/, "ws").replace(/\/$/, "")}/ws/chat`,
      token: door.token,
      onState: (state) => {
        if (state.name === "offline" && !first) complain("\n(connection lost; trying again)");
        if (state.name === "closed" && state.code !== null) {
          this.#trouble = `The gateway refused us: ${state.code}.`;
          this.#ended?.(false);
        }
        first = state.name === "connecting" && first;
      },
    });
  }

  /** One message, one answer; 0 when it was answered whole. */
  async once(message: string): Promise<number> {
    const text = message.trim();
    if (text === "")
      throw new CliError("There is no message: pipe one in, or give it as words.", exit_usage);
    const ok = await this.#say(text);
    if (!ok && this.#trouble !== "") complain(this.#trouble);
    return ok ? 0 : 1;
  }

  async talk(): Promise<number> {
    say("Colloquy. Type a message; /help shows the commands.");
    const lines = createInterface({ input: process.stdin, output: process.stdout, prompt: "\n› " });
    lines.on("SIGINT", () => (this.#turn === null ? lines.close() : void this.#stop()));
    for (;;) {
      const typed = await ask(lines);
      if (typed === null || /^\/(q|quit|exit)$/.test(typed)) break;
      if (typed === "") continue;
      if (typed.startsWith("/") && !typed.includes("\n")) await this.#command(typed);
      else if (!(await this.#say(typed))) complain(this.#trouble);
    }
    lines.close();
    say();
    return 0;
  }

  close(): void {
    this.#client.close();
  }

  async #command(typed: string): Promise<void> {
    const [name, argument = ""] = typed.split(/\s+/, 2);
    if (name === "/help") say(help);
    else if (name === "/stop") await this.#stop();
    else if (name === "/new") this.#open(newId());
    else if (name === "/list") {
      for (const [at, { title, id }] of (await this.#list()).entries())
        say(`${at + 1}  ${title ?? id}`);
    } else if (name === "/open") {
      const list = await this.#list();
      const id = isUuid(argument) ? argument : list[Number(argument) - 1]?.id;
      if (id === undefined) say("There is no such conversation; /list shows them.");
      else {
        this.#open(id);
        say(`Going on with ${list.find((one) => one.id === id)?.title ?? id}.`);
      }
    } else say(`${name ?? ""} is not a command; /help shows them.`);
  }

  #open(conversation: string): void {
    this.#leave();
    this.#leave = () => undefined;
    this.#conversation = conversation;
  }

  /** Sends, and prints what comes until the turn has ended: whether it ended well. */
  async #say(text: string): Promise<boolean> {
    this.#trouble = "";
    const over = new Promise<boolean>((resolve) => (this.#ended = resolve));
    const conversation = this.#conversation;
    const mine = newId();
    let turn: string | null = null;
    const following = this.#client.begin(conversation, {
      event: ({ event }) => {
        if (
          (event.type === "turn.started" || event.type === "turn.queued") &&
          event["user"] === mine
        ) {
          turn = String(event["turn"]);
          this.#turn = turn;
          this.#attempt = 1;
        }
        if (event.type === "turn.failed" && event["turn"] === turn) {
          this.#trouble = `The answer failed: ${String(event["detail"])} (${String(event["code"])})`;
        }
      },
      token: (frame) => {
        if (frame.turn !== turn) return;
        if (frame.attempt > this.#attempt) {
          this.#attempt = frame.attempt;
          process.stdout.write("\n\n(interrupted; the answer begins again)\n\n");
        }
        process.stdout.write(frame.content);
      },
      end: (frame) => {
        if (frame.turn !== turn) return;
        say();
        this.#ended?.(frame.finish !== "failed");
      },
      refused: (error) => {
        this.#trouble = error.message;
        this.#ended?.(false);
      },
    });
    try {
      await Promise.race([
        this.#client.send(conversation, text, { id: mine, ...this.#asking() }),
        over,
      ]);
      return await over;
    } catch (error) {
      if (!(error instanceof ClientError)) throw error;
      this.#trouble = error.message;
      return false;
    } finally {
      following.stop();
      this.#turn = null;
      this.#ended = null;
    }
  }

  #asking(): { model?: string } {
    return this.#model === undefined ? {} : { model: this.#model };
  }

  async #stop(): Promise<void> {
    if (this.#turn === null) return;
    await this.#client.cancel(this.#conversation).catch(() => undefined);
  }

  async #list(): Promise<{ id: string; title: string | null }[]> {
    const response = await fetch(`${this.#door.url}/api/v1/conversations?limit=20`, {
      headers: { authorization: `Bearer ${await this.#door.token()}` },
    });
    // Our own gateway's list (schemas/http.ts).
    const body = (await response.json()) as { items?: { id: string; title: string | null }[] };
    return body.items ?? [];
  }
}

/** Lines that come closer than this are one paste, and one message. */
const paste_ms = 30;

/** What is typed next; null at the end of input. */
function ask(lines: Interface): Promise<string | null> {
  return new Promise((resolve) => {
    const typed: string[] = [];
    let timer: NodeJS.Timeout | undefined;
    const done = (value: string | null): void => {
      clearTimeout(timer);
      lines.off("line", onLine);
      lines.off("close", onClose);
      resolve(value);
    };
    const onLine = (line: string): void => {
      typed.push(line);
      clearTimeout(timer);
      timer = setTimeout(() => done(typed.join("\n").trim()), paste_ms);
    };
    const onClose = (): void => done(typed.length === 0 ? null : typed.join("\n").trim());
    lines.on("line", onLine);
    lines.once("close", onClose);
    lines.prompt();
  });
}
