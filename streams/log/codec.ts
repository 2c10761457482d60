/**
 * Commits to bytes and back: content into one sealed box, hash, upcasting, and every check that a
 * stored commit must pass before anybody folds it. Pure; keys come in as arguments.
 */
import { hash } from "node:crypto";
import { isDeepStrictEqual } from "node:util";
import {
  type Commit,
  type CommitDraft,
  type Head,
  storedCommit,
  type StoredCommit,
} from "../../schemas/commit.ts";
import { AppError } from "../../schemas/errors.ts";
import {
  contentFields,
  type DomainEvent,
  type EventType,
  eventSchemas,
  eventTypes,
  eventVersions,
  isEventType,
} from "../../schemas/events.ts";
import { type ActorRef, refKey } from "../../schemas/ids.ts";
import { limits } from "../../schemas/limits.ts";
import { parseEventSubject } from "../../schemas/subjects.ts";
import { UnknownVersion, upcast } from "../../schemas/upcasters.ts";
import { type Check, check, parseJson } from "../../schemas/validate.ts";
import { cutBox, openBox, sealBox } from "../content/boxes.ts";
import { DamagedCommit, type Place, UnknownEvent } from "../faults.ts";
import type { ContentKey } from "../content/vault.ts";

/** Headers and protocol beside the commit in one NATS message. */
const envelope_bytes = 4 * 1024;

type Fields = Readonly<Record<string, unknown>>;
type Content = Record<string, Fields>;

const dataChecks = new Map<EventType, Check<unknown>>(
  eventTypes.map((type) => [type, check(eventSchemas[type])]),
);

/** SHA-256 of stored bytes, hex: what the next commit names as `prev`. */
export const hashOf = (bytes: Uint8Array): string => hash("sha256", bytes, "hex");

/** What a draft's content is; null when it has none, and then no key is needed. */
export function contentOf(events: readonly DomainEvent[]): Content | null {
  let content: Content | null = null;
  for (const [index, { type, data }] of events.entries()) {
    const blanks = contentFields[type];
    if (blanks === undefined) continue;
    const fields: Record<string, unknown> = {};
    let any = false;
    // An event's data is a record of its fields; the union of all types only cannot say so.
    const values = data as Fields;
    for (const [field, blank] of Object.entries(blanks)) {
      if (!Object.hasOwn(values, field) || isBlank(values[field], blank)) continue;
      fields[field] = values[field];
      any = true;
    }
    if (any) (content ??= {})[index] = fields;
  }
  return content;
}

/** What equals its blank says nothing and is left out: reading puts it back. */
const isBlank = (value: unknown, blank: unknown): boolean =>
  value === blank || (typeof value === "object" && isDeepStrictEqual(value, blank));

/**
 * The bytes of a commit behind `head`. `content` is what `contentOf` gave; with a null key (the
 * actor's was erased) it is left out for ever. Throws `AppError("too_large")`.
 */
export function encodeCommit(
  draft: CommitDraft,
  head: Head,
  content: Content | null,
  key: ContentKey | null,
): Uint8Array {
  const stored: StoredCommit = {
    v: 1,
    commit: draft.commit,
    tenant: draft.ref.tenant,
    kind: draft.ref.kind,
    id: draft.ref.id,
    revision: head.revision + 1,
    command: draft.command,
    by: draft.by,
    at: draft.at,
    prev: head.hash,
    events: draft.events.map(({ type, v, data }) => ({
      type,
      v,
      data: { ...plainOf(type, data as Fields) },
    })),
    ...(content === null ? {} : { sealed: seal(content, draft, key) }),
  };
  const bytes = Buffer.from(JSON.stringify(stored));
  if (bytes.length + envelope_bytes > limits.message_bytes_max) {
    throw new AppError("too_large", "The decision does not fit one message of the log.");
  }
  return bytes;
}

const seal = (content: Content, { ref, commit }: CommitDraft, key: ContentKey | null): string =>
  key === null ? "" : sealBox(JSON.stringify(content), key, refKey(ref), commit);

function plainOf(type: EventType, data: Fields): Fields {
  const blanks = contentFields[type];
  if (blanks === undefined) return data;
  const plain = { ...data };
  for (const field of Object.keys(blanks)) delete plain[field];
  return plain;
}

/** A stored commit that has its shape and stands on its own actor's subject. */
export interface Opened {
  /** Without what is sealed. */
  readonly stored: StoredCommit;
  /** Base64; null when nothing was sealed, "" when it was left out for ever. */
  readonly sealed: string | null;
  readonly ref: ActorRef;
  readonly bytes: Uint8Array;
  readonly place: Place;
  readonly traceparent: string | null;
}

/**
 * Reads the plain part. `subject` may be `evt.…` or `live.…`; who has parsed it gives the `ref`.
 * Throws `DamagedCommit`.
 */
export function openCommit(
  bytes: Uint8Array,
  place: Place,
  traceparent: string | null,
  ref: ActorRef | null = parseEventSubject(place.subject),
): Opened {
  if (ref === null) throw new DamagedCommit(place, "its subject names no actor");
  const { plain, sealed } = cutBox(Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength));
  const parsed = storedCommit.parse(parseJson(plain));
  if (!parsed.ok) throw new DamagedCommit(place, parsed.problem);
  const stored = parsed.value;
  if (stored.tenant !== ref.tenant || stored.kind !== ref.kind || stored.id !== ref.id) {
    throw new DamagedCommit(place, "it names another actor than its subject");
  }
  const { sequence, subject } = place;
  return {
    ...{ stored, ref, bytes, traceparent, sealed: sealed ?? stored.sealed ?? null },
    place: { subject, sequence, revision: stored.revision },
  };
}

/** Whether reading it needs the actor's key. */
export const needsKey = ({ sealed }: Opened): boolean => sealed !== null && sealed !== "";

/** Its content as JSON text; null when there is none that can be read. Throws `DamagedCommit`. */
function unseal({ sealed, stored, ref, place }: Opened, key: ContentKey | null): string | null {
  if (sealed === null || sealed === "" || key === null) return null;
  try {
    return openBox(sealed, key, refKey(ref), stored.commit).toString();
  } catch (cause) {
    throw new DamagedCommit(place, unopened, { cause });
  }
}
/** Why a commit is damaged whose box does not open. */
export const unopened = "its sealed content does not open with the actor's key";

/**
 * The commit as the rest of the system reads it; with a null key its content is blank and it is
 * marked as erased. `hashed: false` leaves its hash empty. Throws `DamagedCommit`, `UnknownEvent`.
 */
export const decodeCommit = (opened: Opened, key: ContentKey | null, hashed = true): Commit =>
  decodeUnsealed(opened, unseal(opened, key), hashed);

/** The same with the text of its opened box, null for none that could be read. */
export function decodeUnsealed(opened: Opened, text: string | null, hashed: boolean): Commit {
  const { stored, sealed, ref, bytes, place, traceparent } = opened;
  const content = text === null ? null : contentIn(text, place);
  return {
    ref,
    commit: stored.commit,
    command: stored.command,
    by: stored.by,
    at: stored.at,
    traceparent,
    events: stored.events.map((event, index) => eventOf(event, content?.[index], place)),
    revision: stored.revision,
    sequence: place.sequence,
    prev: stored.prev,
    hash: hashed ? hashOf(bytes) : "",
    erased: sealed !== null && text === null,
  };
}

function contentIn(text: string, place: Place): Content {
  try {
    // Authenticated: nobody but `seal` wrote it, and each event's data is checked afterwards.
    return JSON.parse(text) as Content;
  } catch (cause) {
    throw new DamagedCommit(place, unopened, { cause });
  }
}

function eventOf(
  { type, v, data }: StoredCommit["events"][number],
  content: Fields | undefined,
  place: Place,
): DomainEvent {
  if (!isEventType(type)) {
    throw new UnknownEvent(place, `its event type ${type} is not known to this release`);
  }
  const blanks = contentFields[type];
  const filled = blanks === undefined ? data : { ...blanks, ...data, ...content };
  const whole = v === eventVersions[type] ? filled : upcasted(type, v, filled, place);
  const parsed = dataChecks.get(type)?.parse(whole);
  if (parsed?.ok !== true)
    throw new DamagedCommit(place, `${type}: ${parsed?.problem ?? "unchecked"}`);
  // The check of exactly this type has passed; the union of pairs cannot say so.
  return { type, v: eventVersions[type], data: parsed.value } as DomainEvent;
}

function upcasted(type: EventType, v: number, data: Fields, place: Place): Fields {
  try {
    return upcast(type, v, data);
  } catch (cause) {
    if (cause instanceof UnknownVersion) throw new UnknownEvent(place, cause.message, { cause });
    throw new DamagedCommit(place, `${type} version ${v} cannot be upcast`, { cause });
  }
}
