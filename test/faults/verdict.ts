/**
 * The judgement when all faults are over and all is quiet. Each sentence that comes back is a broken
 * promise: a command lost or done twice (I1, I2), a broken line (I3), a text that somebody read and
 * that is not stored (I5, I6), a conversation that is still generating (I7), a read model that is
 * not its log (I8).
 */
import type { Conversation, Message, Page } from "../../schemas/http.ts";
import { type Commit, lastRevision } from "../../schemas/commit.ts";
import { connect } from "../../web/client.ts";
import type { Door } from "./device.ts";
import { faultsOf, type Line } from "./fold.ts";
import { acknowledged, type Entry } from "./ledger.ts";
import type { Talk } from "./talker.ts";
import { apart, openTold, type Told } from "./told.ts";

/** Every answer that a command got names its one commit; without an answer it has one at most. */
export function judgeCommand(entry: Entry, line: Line): string[] {
  const { id, type } = entry;
  const commits = line.byCommand.get(id) ?? [];
  const wrong: string[] = [];
  const [commit] = commits;
  for (const answer of entry.answers) {
    if (!answer.ok) continue;
    const at = `revision ${answer.revision} at ${answer.seq}`;
    if (commit === undefined) {
      // A cancel that found nothing to end changes nothing and names where the line stood.
      const stood = line.commits.some((one) => isAt(one, answer.revision, answer.seq));
      if (type !== "cancel")
        wrong.push(`${type} ${id} was acknowledged (${at}) and is not in the log`);
      else if (!stood) wrong.push(`cancel ${id} was acknowledged with ${at}, which no commit has`);
    } else if (!commits.some((one) => isAt(one, answer.revision, answer.seq))) {
      // Decided on before it had an effect, a cancel may have been "already so" the first time.
      const before = line.commits.some((one) => isAt(one, answer.revision, answer.seq));
      if (type !== "cancel" || !before) {
        wrong.push(
          `${type} ${id} was acknowledged with ${at}; its commit is at ${commit.sequence}`,
        );
      }
    }
  }
  return wrong;
}

const isAt = (commit: Commit, revision: number, sequence: number): boolean =>
  commit.sequence === sequence && lastRevision(commit) === revision;

/** What is wrong between the log of a conversation and what its readers were told. */
export function judgeTold(talk: Talk, line: Line): string[] {
  const wrong = faultsOf(line);
  for (const [who, told] of [
    ["the writer", talk.told],
    ["the reader", talk.beside],
  ] as const) {
    wrong.push(...differences(told, line).map((what) => `${who}: ${what}`));
  }
  return wrong.map((what) => `${talk.ref.id}: ${what}`);
}

function differences(told: Told, line: Line): string[] {
  const wrong: string[] = [];
  const stored = line.commits.flatMap(({ events }) => events);
  if (told.events.length !== stored.length) {
    wrong.push(`was told ${told.events.length} events of ${stored.length}`);
  }
  for (const [at, { event }] of told.events.entries()) {
    const { type, ...data } = event;
    const original = stored[at];
    if (original === undefined || type !== original.type) {
      wrong.push(`was told ${type} at ${at + 1}, stored is ${original?.type}`);
    } else if (event.redacted !== true && !sameData(data, original.data)) {
      wrong.push(`was told other data of ${type} at ${at + 1}`);
    }
  }
  for (const [turn, { text }] of line.turns) {
    const read = told.texts.get(turn) ?? "";
    if (read !== text) wrong.push(`read as the answer of ${turn}: ${apart(read, text)}`);
  }
  return wrong;
}

/** Whatever a client is told of an event is what is stored; it may be told less. */
function sameData(told: Readonly<Record<string, unknown>>, stored: object): boolean {
  const fields = new Map<string, unknown>(Object.entries(stored));
  return Object.entries(told).every(
    ([name, value]) => JSON.stringify(value) === JSON.stringify(fields.get(name)),
  );
}

/** Each of them waits some seconds in the gateway; a read model that is stale for longer stays so. */
const asks_max = 8;

/** Asks over HTTP until the read model has come as far as the log. */
async function get<T>(door: Door, path: string, sequence: number): Promise<T> {
  for (let asks = 1; ; asks++) {
    const response = await fetch(`${door.url}${path}`, {
      headers: { authorization: `Bearer ${door.token}`, "x-colloquy-seq": String(sequence) },
    });
    if (response.ok) return (await response.json()) as T; // our own gateway's
    const why = `${path}: ${response.status} ${await response.text()}`;
    if (response.status !== 504 || asks === asks_max) throw new Error(why);
  }
}

const statuses: ReadonlySet<string> = new Set(["done", "cancelled", "failed"]);

/** What is wrong between the log of a conversation and what the gateway reads of it. */
export async function judgeRead(
  door: Door,
  id: string,
  line: Line,
  end: number,
): Promise<string[]> {
  const wrong: string[] = [];
  const path = `/api/v1/conversations/${id}`;
  const conversation = await get<Conversation>(door, path, end);
  if (conversation.turn !== null) wrong.push(`its read model still runs ${conversation.turn}`);
  if (conversation.revision !== line.revision) {
    wrong.push(`its read model is at ${conversation.revision} of ${line.revision}`);
  }
  const byId = new Map<string, Message>();
  for (let cursor: string | null = ""; cursor !== null;) {
    const more: string = cursor === "" ? "" : `&cursor=${encodeURIComponent(cursor)}`;
    const page = await get<Page<Message>>(door, `${path}/messages?all=true&limit=200${more}`, end);
    for (const message of page.items) byId.set(message.id, message);
    cursor = page.next;
  }
  for (const [turn, { message, text, status }] of line.turns) {
    const row = byId.get(message);
    if (row === undefined) wrong.push(`the answer of ${turn} is not in its read model`);
    else if (row.text !== text) wrong.push(`its read model has: ${apart(row.text, text)}`);
    else if (row.status !== status) wrong.push(`${turn} is ${row.status}, stored is ${status}`);
  }
  for (const { id: message, status } of byId.values()) {
    if (!statuses.has(status)) wrong.push(`message ${message} is still ${status}`);
  }
  return wrong.map((what) => `${id}: ${what}`);
}

/** A client that comes only now and reads everything from the beginning, one after the other. */
export async function judgeReplay(
  door: Door,
  talks: readonly (readonly [id: string, line: Line])[],
): Promise<string[]> {
  const wrong: string[] = [];
  const client = connect({
    url: `${door.url.replace("http", "ws")}/ws/chat`,
    token: () => door.token,
  });
  for (const [id, line] of talks) {
    const told = openTold(
      () => undefined,
      (why) => wrong.push(`${id} read anew: ${why}`),
    );
    const reading = client.subscribe(id, told);
    await told.until(() => told.events.length >= line.revision && told.open.size === 0);
    reading.stop();
    wrong.push(...differences(told, line).map((what) => `${id} read anew: ${what}`));
  }
  client.close();
  return wrong;
}

/** How the commands of a run ended, for the summary. */
export function tally(entries: Iterable<Entry>): string {
  const counts = { acknowledged: 0, refused: 0, unanswered: 0, twice: 0 };
  for (const entry of entries) {
    if (acknowledged(entry)) counts.acknowledged += 1;
    else if (entry.answers.length > 0) counts.refused += 1;
    else counts.unanswered += 1;
    if (entry.answers.length > 1) counts.twice += 1;
  }
  return `${counts.acknowledged} acknowledged, ${counts.refused} refused, ${counts.unanswered} unanswered, ${counts.twice} answered more than once`;
}
