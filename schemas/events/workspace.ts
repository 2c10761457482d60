/**
 * The events of a workspace, one per tenant: who belongs to it and with which role, its invitations
 * and API keys, its webhooks, and the anchors of the tenant's history. Of a secret it has the hash
 * alone, but for those that we sign with (`webhook.ts`).
 */
import Type, { type TObject } from "typebox";
import { IsoTime, UserId, Uuid } from "../ids.ts";
import { Role, Scopes } from "../permissions.ts";
import { closed, NullableUuid, Sha256, Text } from "./fields.ts";
import { webhookContent, webhookEvents, webhookVersions } from "./webhook.ts";

const Sequence = Type.Integer({ minimum: 1, description: "A sequence of EVENTS." });

export const workspaceEvents = {
  /** What `streams/proof/anchors.ts` computes and checks. */
  "chain.anchored": Type.Object(
    {
      root: Sha256,
      previous: Type.String({
        pattern: "^[0-9a-f]{64}$",
        description: "The root of the anchor before; 64 zeros for the first.",
      }),
      chains: Type.Integer({ minimum: 1, description: "The leaves: chains that changed." }),
      commits: Type.Integer({ minimum: 1, description: "Commits of the tenant in the window." }),
      from: Sequence,
      sequence: Type.Integer({ minimum: 1, description: "The last sequence that it covers." }),
      settled: Type.Integer({
        minimum: 0,
        description: "Up to here nothing of any tenant waits for its anchor.",
      }),
    },
    closed,
  ),
  "log.exported": Type.Object(
    {
      operator: Type.String({ minLength: 1, maxLength: 128, description: "Who exported it." }),
      from: Sequence,
      to: Sequence,
      commits: Type.Integer({ minimum: 0, description: "Commits of the tenant among them." }),
      keys: Type.Boolean({ description: "Whether the content keys went with them." }),
    },
    closed,
  ),
  /** Once: whoever opens it is its first owner. */
  "workspace.opened": Type.Object({ name: Text }, closed),
  "workspace.configured": Type.Object({ name: Text }, closed),
  "member.added": Type.Object({ user: UserId, role: Role, invitation: NullableUuid }, closed),
  "member.changed": Type.Object({ user: UserId, role: Role }, closed),
  "member.removed": Type.Object({ user: UserId }, closed),
  "invitation.created": Type.Object(
    {
      invitation: Uuid,
      token: Sha256,
      role: Role,
      email: Type.Union([Text, Type.Null()]),
      user: Type.Union([Uuid, Type.Null()], {
        description: "The account that alone may accept it; null: whoever has the token.",
      }),
      expires: IsoTime,
    },
    closed,
  ),
  "invitation.revoked": Type.Object({ invitation: Uuid }, closed),
  "invitation.accepted": Type.Object({ invitation: Uuid, user: UserId }, closed),
  "key.created": Type.Object(
    {
      key: Uuid,
      user: UserId,
      name: Text,
      secret: Sha256,
      scopes: Scopes,
      expires: Type.Union([IsoTime, Type.Null()]),
    },
    closed,
  ),
  "key.revoked": Type.Object({ key: Uuid }, closed),
  ...webhookEvents,
} as const satisfies Record<string, TObject>;

type WorkspaceEventType = keyof typeof workspaceEvents;

export const workspaceVersions = {
  "chain.anchored": 1,
  "log.exported": 1,
  "workspace.opened": 1,
  "workspace.configured": 1,
  "member.added": 1,
  "member.changed": 1,
  "member.removed": 1,
  "invitation.created": 1,
  "invitation.revoked": 1,
  "invitation.accepted": 1,
  "key.created": 1,
  "key.revoked": 1,
  ...webhookVersions,
} as const satisfies Record<WorkspaceEventType, number>;

export const workspaceContent = {
  "workspace.opened": { name: "" },
  "workspace.configured": { name: "" },
  "invitation.created": { email: null },
  "key.created": { name: "" },
  ...webhookContent,
} as const satisfies Partial<Record<WorkspaceEventType, object>>;
