/**
 * The only place that builds or parses a NATS subject. Every part is checked before it becomes a
 * token, so no id can address more than itself (I10): slugs, UUIDs and names hold no dot, no
 * wildcard and no space.
 */
import { accounts_tenant, type ActorRef, isKind, isTenant, isUuid } from "./ids.ts";

const name_pattern = /^[a-z][a-z-]{0,62}$/;

function assertRef(ref: ActorRef): void {
  if (!isTenant(ref.tenant) || !isKind(ref.kind) || !isUuid(ref.id)) {
    throw new TypeError("not an actor that a subject can name");
  }
}

function refOf(tenant?: string, kind?: string, id?: string): ActorRef | null {
  if (tenant === undefined || kind === undefined || id === undefined) return null;
  return isTenant(tenant) && isKind(kind) && isUuid(id) ? { tenant, kind, id } : null;
}

/** `cmd.<tenant>.<kind>.<id>.<name>`, where commands are published. */
export function commandSubject(ref: ActorRef, name: string): string {
  assertRef(ref);
  if (!name_pattern.test(name)) throw new TypeError("not a command's name");
  return `cmd.${ref.tenant}.${ref.kind}.${ref.id}.${name}`;
}

/** `timer.<tenant>.<kind>.<id>.<name>.<key>`: a schedule, one per key; its target is the command. */
export function timerSubject(ref: ActorRef, name: string, key: string): string {
  assertRef(ref);
  if (!name_pattern.test(name) || !name_pattern.test(key))
    throw new TypeError("not a timer's name");
  return `timer.${ref.tenant}.${ref.kind}.${ref.id}.${name}.${key}`;
}

/** What COMMANDS accepts and how it stores it, for `partitions` partitions. */
export const commandTransform = (partitions: number): { src: string; dest: string } => ({
  src: "cmd.*.*.*.*",
  dest: `cmd.{{partition(${partitions},1,2,3)}}.{{wildcard(1)}}.{{wildcard(2)}}.{{wildcard(3)}}.{{wildcard(4)}}`,
});
export const partitionFilter = (partition: number): string => `cmd.${partition}.>`;

/** Parses a stored command subject `cmd.<p>.<tenant>.<kind>.<id>.<name>`; null when it is not one. */
export function parseStoredCommand(
  subject: string,
): { ref: ActorRef; name: string; partition: number } | null {
  const [root, partition, tenant, kind, id, name, ...rest] = subject.split(".");
  const ref = refOf(tenant, kind, id);
  if (root !== "cmd" || ref === null || rest.length > 0) return null;
  if (partition === undefined || !/^(0|[1-9]\d{0,4})$/.test(partition)) return null;
  if (name === undefined || !name_pattern.test(name)) return null;
  return { ref, name, partition: Number(partition) };
}

/** `evt.…`: the one literal subject of an actor's commits. */
export function eventSubject(ref: ActorRef): string {
  assertRef(ref);
  return `evt.${ref.tenant}.${ref.kind}.${ref.id}`;
}
/** A part of the log by its actors; what is absent is not asked for. */
export interface EventScope {
  readonly tenant?: string | undefined;
  readonly kind?: string | undefined;
  readonly id?: string | undefined;
}
/** The filter of such a part. Throws `TypeError` for what is no part of a subject. */
export function eventFilter({ tenant, kind, id }: EventScope = {}): string {
  const fits =
    (tenant === undefined || isTenant(tenant)) &&
    (kind === undefined || isKind(kind)) &&
    (id === undefined || isUuid(id));
  if (!fits) throw new TypeError("not actors that a filter can name");
  return `evt.${tenant ?? "*"}.${kind ?? "*"}.${id ?? "*"}`;
}
/** The commits of all actors. */
export const all_events = eventFilter();
/** `live.…`: the same commits once they are stored; what gateways follow. */
export function liveSubject(ref: ActorRef): string {
  assertRef(ref);
  return `live.${ref.tenant}.${ref.kind}.${ref.id}`;
}
export const liveTenantSubject = (tenant: string): string => {
  if (!isTenant(tenant)) throw new TypeError("not a tenant's slug");
  return `live.${tenant}.>`;
};
export const eventRepublish = { src: "evt.>", dest: "live.>" } as const;

/** Parses `evt.<tenant>.<kind>.<id>` or `live.…`; null when it is neither. */
export function parseEventSubject(subject: string): ActorRef | null {
  const [root, tenant, kind, id, ...rest] = subject.split(".");
  if ((root !== "evt" && root !== "live") || rest.length > 0) return null;
  return refOf(tenant, kind, id);
}

/** The commits of all workspaces. */
export const workspaceFilter = "evt.*.workspace.*";
/** The commits of all accounts. */
export const accountFilter = `evt.${accounts_tenant}.account.*`;

/** Whose chain stands on a subject `evt.…`, also of a kind that only a newer release knows. */
export function parseChainSubject(
  subject: string,
): { readonly tenant: string; readonly kind: string; readonly key: string } | null {
  const [root, tenant, kind, id, ...rest] = subject.split(".");
  if (root !== "evt" || tenant === undefined || kind === undefined || id === undefined) return null;
  return rest.length === 0 && isTenant(tenant) ? { tenant, kind, key: subject.slice(4) } : null;
}

/** `tok.<tenant>.<conversation>`. */
export function tokenSubject(ref: ActorRef): string {
  assertRef(ref);
  return `tok.${ref.tenant}.${ref.id}`;
}

/** `dead.<origin>.<tenant>.<kind>.<id>`; parts that are not ours become `unknown`. */
export function deadSubject(origin: "commands" | "webhooks", ref: ActorRef | null): string {
  return ref === null
    ? `dead.${origin}.unknown.unknown.unknown`
    : `dead.${origin}.${ref.tenant}.${ref.kind}.${ref.id}`;
}

/** Parses what `deadSubject` built; `ref` is null when it names no actor. */
export function parseDeadSubject(subject: string): { origin: string; ref: ActorRef | null } | null {
  const [root, origin, tenant, kind, id, ...rest] = subject.split(".");
  if (root !== "dead" || origin === undefined || id === undefined || rest.length > 0) return null;
  return { origin, ref: refOf(tenant, kind, id) };
}

/** The dead letters of an actor, of a tenant, or all of them. */
export function deadFilter(of: ActorRef | string | null): string {
  if (of === null) return "dead.*.*.*.*";
  if (typeof of !== "string") return `dead.*.${kvKey(of)}`;
  if (!isTenant(of)) throw new TypeError("not a tenant's slug");
  return `dead.*.${of}.*.*`;
}

/** `feed.<tenant>.<noun>.<verb>.<id>`, where the feed tells an event of public type `noun.verb`. */
export function feedSubject(ref: ActorRef, type: string): string {
  assertRef(ref);
  if (!/^[a-z]+\.[a-z]+$/.test(type)) throw new TypeError("not a type of event");
  return `feed.${ref.tenant}.${type}.${ref.id}`;
}
/** What FEED holds: the events, and the marks of whoever writes them, which no tenant's filter meets. */
export const feedSubjects = ["feed.*.*.*.*", "feedmark.*"] as const;
/** `feedmark.<0|1>`: where the publisher of the feed writes what comes next, by turns. */
export const feedMarkSubject = (turn: number): string => `feedmark.${turn % 2}`;
/** What the feed tells a tenant of the public types that `patterns` mean; no two of them overlap. */
export function feedFilters(tenant: string, patterns: readonly string[]): string[] {
  if (!isTenant(tenant)) throw new TypeError("not a tenant's slug");
  if (patterns.includes("*")) return [`feed.${tenant}.*.*.*`];
  const all = new Set(patterns.filter((one) => /^[a-z]+\.(\*|[a-z]+)$/.test(one)));
  const left = [...all].filter((one) => one.endsWith(".*") || !all.has(`${one.split(".")[0]}.*`));
  return left.map((one) => `feed.${tenant}.${one}.*`);
}
/** All that the feed tells a tenant. */
export const feedOf = (tenant: string): string => `feed.${tenant}.>`;
/** All that the feed says of an actor. */
export function feedFilter(ref: ActorRef): string {
  assertRef(ref);
  return `feed.${ref.tenant}.*.*.${ref.id}`;
}
/** All timers of an actor. */
export const timerFilter = (ref: ActorRef): string => `timer.${kvKey(ref)}.*.*`;
/** All commands of an actor, as they are stored. */
export const storedCommandFilter = (ref: ActorRef): string => `cmd.*.${kvKey(ref)}.*`;

/** Where a gateway takes replies: those to `reply.<tenant>.<inbox>`, and behind it one token more. */
export const replyInboxes = (inbox: string): readonly string[] => [
  `reply.*.${inbox}`,
  `reply.*.${inbox}.*`,
];
export const replySubject = (tenant: string, inbox: string): string => `reply.${tenant}.${inbox}`;
/** A reply names only its command, whose id is unique to its actor: its subject names the actor. */
export const actorReplySubject = (ref: ActorRef, inbox: string): string =>
  `${replySubject(ref.tenant, inbox)}.${ref.id}`;
/** Whether a reply may go to `subject` for a command of `tenant`. */
export const mayReplyTo = (tenant: string, subject: string): boolean =>
  subject.length <= 256 &&
  subject.startsWith(`reply.${tenant}.`) &&
  /^reply(\.[A-Za-z0-9_-]+){2,8}$/.test(subject);

/** Where the runner of a projector announces its position. */
export const positionSubject = (projector: string): string => `position.${projector}`;

/** Where one worker hears another: `worker.<id>`. */
export function workerSubject(worker: string): string {
  if (!isUuid(worker)) throw new TypeError("not a worker's id");
  return `worker.${worker}`;
}

/** Parses what `kvKey` built; null for anything else. */
export function parseKvKey(key: string): ActorRef | null {
  const [tenant, kind, id, ...rest] = key.split(".");
  return rest.length > 0 ? null : refOf(tenant, kind, id);
}

/** The key of an actor in a KV bucket. */
export function kvKey(ref: ActorRef): string {
  assertRef(ref);
  return `${ref.tenant}.${ref.kind}.${ref.id}`;
}

/** The first tokens of our own subjects, where nobody else's messages belong. */
const own_roots: ReadonlySet<string> = new Set([
  ...["evt", "live", "cmd", "timer", "tok", "feed", "dead", "reply", "position", "worker"],
]);

/** Whether events may be handed out on it: one literal subject that is not ours and not the server's. */
export function isForeignSubject(subject: string): boolean {
  const [root = ""] = subject.split(".");
  const literal = /^[A-Za-z0-9][A-Za-z0-9_-]*(\.[A-Za-z0-9_-]+)*$/.test(subject);
  return literal && subject.length <= 256 && !own_roots.has(root);
}
