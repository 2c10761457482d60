/** What each event says, for docs/EVENTS.md. */
import type { EventType } from "../schemas/events.ts";

/** The compiler asks for a new one's sentence. */
export const meanings: Readonly<Record<EventType, string>> = {
  "conversation.started": "It exists: the first event of every conversation.",
  "conversation.titled":
    "It has a title: from its user, or its own (`self`), taken when a turn completes and it has none.",
  "conversation.configured": "Its model or overlap policy was changed; what is absent stays.",
  "conversation.shared":
    "`user` may read it from now on, and as `editor` write in it; with a user it is shared with already, another role.",
  "conversation.unshared": "`user` may not read it any more.",
  "conversation.archived":
    "It was put away and takes no message until it is restored. What ran or waited is cancelled in the same commit.",
  "conversation.restored": "It takes messages again.",
  "conversation.deleted": "It takes nothing more, and the key of its content is erased.",
  "message.added":
    "A message came under `parent` (null: a new beginning) and became the head. Its id is that of the command that brought it.",
  "message.rated":
    "Whoever the commit is by thinks so of the answer `message`; null takes an earlier rating back.",
  "head.moved": "Another message was chosen to be the head, which the next message follows.",
  "turn.queued":
    "An answer to `user` waits for the turn that runs; `message` is the id it will have. With a turn that waits already: another message joined it, and `user` is the one to answer.",
  "turn.started":
    "An answer is being written: `message` is its id, `user` the message it answers; `provider` and `model` are those of the call about to be made.",
  "turn.restarted":
    "The worker that ran it was lost, and `owner` begins the answer anew: the frames of earlier attempts are void. `reason` says how the loss was noticed.",
  "turn.checkpointed":
    "What was written since the checkpoint before: the frames `first` to `seq`. Clients are told only that it was.",
  "turn.completed":
    "The answer ended by itself (`stop`), or at its limit (`length`). `text` is all of it; its last attempt's frames, concatenated, are exactly this text.",
  "turn.cancelled":
    "The turn was ended early and keeps what had been seen of it. One that only waited has attempt 0 and no text.",
  "turn.failed": "The turn could not go on; `code` says why, and what had been seen stays.",
  "model.attempted":
    "One call of a model, whatever came of it: what it used and what it cost, also of calls that failed or were lost.",
  "chain.anchored":
    "A Merkle root over the heads of all chains of the tenant with a commit from `from` to `sequence`, this one included: whoever keeps `root` elsewhere can prove that what it covers was not rewritten (docs/OPERATING.md).",
  "log.exported": "An operator took a copy of the tenant's events away.",
  "account.registered":
    "Somebody registered: the first event of every account, whose id is made of the address. `home` is the tenant that it shall belong to.",
  "account.joined":
    "It became a member of the tenant; the tenant's workspace says with which role.",
  "account.left": "It belongs to the tenant no longer, and its sessions there are closed.",
  "account.deleted":
    "It takes nothing more, and the key of its content is erased. Its address is never given again.",
  "profile.updated": "It has another name.",
  "settings.updated": "It has other settings; what stood there before is gone.",
  "password.changed": "It has another password; sessions but the one that did it are closed.",
  "session.opened":
    "It signed in: `token` is the hash of the first refresh token, `device` what the client says of itself.",
  "session.refreshed":
    "The refresh token before was shown in time, and another took its place. One that was replaced and is shown again closes the session.",
  "session.closed": "The session is over; no token of it is accepted any more.",
  "workspace.opened": "The tenant has a workspace with members; who opened it is its first owner.",
  "workspace.configured": "It has another name.",
  "member.added":
    "`user` belongs to the tenant; `invitation` is the one that was accepted, if any.",
  "member.changed": "The member has another role.",
  "member.removed": "The user belongs to the tenant no longer; the user's API keys are revoked.",
  "invitation.created":
    "Who has the token, and is `user` where one is named, may become a member with this role.",
  "invitation.revoked": "The invitation is void: it was taken back, or was too old.",
  "invitation.accepted": "It was used, in the commit that adds the member, and cannot be again.",
  "key.created": "`user` has an API key: it may do what its scopes and the role of its user allow.",
  "key.revoked": "The key is accepted no more.",
  "webhook.created":
    "The tenant's events of these types are posted to `url`, signed with `secret` (docs/INTEGRATIONS.md).",
  "webhook.changed":
    "It goes elsewhere, is told other types, signs anew, or was switched on or off.",
  "webhook.disabled": "It had failed for days and was switched off.",
  "webhook.removed": "It is gone.",
  "webhook.tested": "Somebody asked for an event that only this webhook is told.",
  "webhook.replayed": "It is told again what the feed keeps since `from`.",
};
