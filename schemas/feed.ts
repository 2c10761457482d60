/**
 * The messages of the feed: CloudEvents 1.0 around the payloads of the public events
 * (schemas/feed-payloads.ts), in structured JSON. docs/FEED.md is generated from both.
 */
import Type from "typebox";
import type { Commit } from "./commit.ts";
import { closed } from "./events/fields.ts";
import { type PublicEvent, publicEvents } from "./feed-payloads.ts";
import { IsoTime, Tenant, UserId } from "./ids.ts";
import { feedSubject } from "./subjects.ts";

/** `colloquy.turn.completed.v1`: the `type` of a CloudEvent. */
export const cloudEventType = ({ type, v }: PublicEvent): string => `colloquy.${type}.v${v}`;

/** The CloudEvent of one public type, as JSON Schema. */
export const feedEventOf = (row: PublicEvent) =>
  Type.Object(
    {
      specversion: Type.Literal("1.0"),
      id: Type.String({ description: "`<actor id>:<revision>`; the same however often it comes." }),
      source: Type.String({ description: "`/tenants/<tenant>`." }),
      type: Type.Literal(cloudEventType(row)),
      subject: Type.String({ description: "`<kind>/<actor id>`, e.g. `conversation/<uuid>`." }),
      time: IsoTime,
      datacontenttype: Type.Literal("application/json"),
      dataschema: Type.Literal(`urn:colloquy:feed:${row.type}:v${row.v}`),
      sequence: Type.String({
        pattern: "^\\d{16}$",
        description: "Where it stands in the log; orders as text.",
      }),
      traceparent: Type.Optional(Type.String({ description: "W3C Trace Context." })),
      data: Type.Object(
        {
          timestamp: IsoTime,
          tenant_id: Tenant,
          user_id: Type.Union([UserId, Type.Null()], {
            description:
              "Who did it; of what the system did, the owner of the conversation. Null: an integration, or nobody.",
          }),
          event_type: Type.Literal(row.type),
          payload: row.payload,
        },
        closed,
      ),
    },
    closed,
  );

/** A message of the feed: the JSON of a CloudEvent and where it goes. */
export interface FeedEvent {
  readonly subject: string;
  readonly id: string;
  /** `turn.completed`; the type of the CloudEvent says more. */
  readonly name: string;
  readonly type: string;
  readonly json: string;
}

/**
 * The public form of the event at `index` of a commit; null when it stays inside. `owner` is the
 * user whose conversation it is.
 */
export function feedEvent(commit: Commit, index: number, owner: string | null): FeedEvent | null {
  const event = commit.events[index];
  const row = event === undefined ? undefined : publicEvents[event.type];
  if (event === undefined || row === undefined) return null;
  const { ref, by, at, traceparent } = commit;
  const id = `${ref.id}:${commit.revision + index}`;
  const type = cloudEventType(row);
  const json = JSON.stringify({
    ...{ specversion: "1.0", id, source: `/tenants/${ref.tenant}`, type },
    ...{ subject: `${ref.kind}/${ref.id}`, time: at, datacontenttype: "application/json" },
    dataschema: `urn:colloquy:feed:${row.type}:v${row.v}`,
    sequence: String(commit.sequence).padStart(16, "0"),
    ...(traceparent === null ? {} : { traceparent }),
    data: {
      timestamp: at,
      tenant_id: ref.tenant,
      user_id: by.type === "user" ? by.id : owner,
      event_type: row.type,
      payload: row.of(event, ref),
    },
  });
  return { subject: feedSubject(ref, row.type), id, name: row.type, type, json };
}
