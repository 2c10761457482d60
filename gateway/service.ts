/** The parts that sockets and requests of one gateway share, put together. */
import { keptAnswer } from "../cache/kept-answer.ts";
import { AppError } from "../schemas/errors.ts";
import type { ActorRef } from "../schemas/ids.ts";
import { limits } from "../schemas/limits.ts";
import { openRequests, type Requests } from "../streams/queue/requests.ts";
import { Owners } from "./access.ts";
import { judgeApiKeys } from "./auth/api-keys.ts";
import { type Authenticate, openAuthenticate } from "./auth/authenticate.ts";
import { type Identity, must, permits } from "./auth/identity.ts";
import { judgeIssuers } from "./auth/issuers.ts";
import { openPasswords, type Passwords } from "./auth/passwords.ts";
import { openPeople, type People } from "./auth/people.ts";
import { followRevocations, Revocations } from "./auth/revocations.ts";
import { Commands, type Outcome } from "./commands.ts";
import { CutStreams } from "./turns/cut-streams.ts";
import { type Lanes, openLanes } from "./live/lanes.ts";
import { clientAddresses } from "./limits/address.ts";
import { Buffers } from "./limits/buffers.ts";
import { Connections } from "./limits/connections.ts";
import { type Caller, Gate } from "./limits/gate.ts";
import type { OpenStream } from "./turns/open-stream.ts";
import type { GatewayPorts } from "./ports.ts";
import { type Progress, progressOf } from "./metrics.ts";
import { Replays } from "./live/replays.ts";
import { Rooms } from "./live/rooms.ts";
import { Sequences } from "./live/sequences.ts";
import { Turnstile } from "./turnstile.ts";
import { Watches } from "./live/watch.ts";

export interface Service {
  readonly ports: GatewayPorts;
  readonly authenticate: Authenticate;
  readonly revocations: Revocations;
  readonly people: People;
  readonly passwords: Passwords;
  /** Resolves when credentials can be judged. Rejects with `unavailable`. */
  readonly ready: Promise<void>;
  readonly lanes: Lanes;
  readonly owners: Owners;
  readonly commands: Commands;
  readonly rooms: Rooms;
  readonly sequences: Sequences;
  readonly requests: Requests;
  readonly watches: Watches;
  /** The turns that are being streamed over HTTP. */
  readonly streams: Set<OpenStream>;
  readonly cutStreams: CutStreams;
  /** Who may ask how often, and how many sockets are open. */
  readonly gate: Gate;
  readonly connections: Connections;
  readonly buffers: Buffers;
  /** How far the log and the read models are, for whoever watches over the service. */
  readonly progress: () => Promise<Progress>;
  /** The address that a request counts for: its peer's, or what a trusted proxy says. */
  addressOf(peer: string, forwarded: string): string;
  /** Conversations that are being folded from the log. */
  readonly folding: Turnstile;
  /** Embeddings that are being computed. */
  readonly embedding: Turnstile;
  stop(): void;
}

export function openService(ports: GatewayPorts): Service {
  const { log, clock, report, queries, ring, streams } = ports;
  const people = openPeople(log);
  const revocations = new Revocations(clock);
  const following = followRevocations({ streams, revocations, clock, report });
  const gate = new Gate(ports.limiter, ports.rates, clock);
  const authenticate = openAuthenticate({
    ...{ ring, clock, judges: [judgeApiKeys(people, revocations), judgeIssuers(ports.issuers)] },
    refuse: (who) => revocations.refuse(who),
    gate,
  });
  const lanes = openLanes(ports.streams, ports.vault, ports.ids());
  const owners = new Owners({ log, clock, report });
  const sequences = new Sequences();
  const commands = new Commands(lanes, ports.publish, clock);
  const rooms = new Rooms({
    lanes,
    log,
    replays: new Replays(log),
    clock,
    report,
    noticed(commit) {
      sequences.saw(commit.ref, commit.sequence);
      owners.noticed(commit);
      commands.noticed(commit);
    },
  });
  const watches = new Watches({ lanes, queries, owners, clock, report });
  return {
    ports,
    authenticate,
    revocations,
    people,
    passwords: openPasswords(),
    ready: following.ready,
    lanes,
    owners,
    commands,
    rooms,
    sequences,
    requests: openRequests(ports.streams),
    watches,
    streams: new Set(),
    cutStreams: new CutStreams(clock),
    gate,
    connections: new Connections(ports.rates),
    buffers: new Buffers(),
    progress: keptAnswer(
      clock,
      () => limits.probe_kept_ms,
      () => progressOf(ports),
    ),
    addressOf: clientAddresses(ports.trustedProxies),
    folding: new Turnstile(limits.histories_folded_max, limits.histories_folded_per_tenant_max),
    embedding: new Turnstile(
      limits.embeddings_running_max,
      limits.embeddings_running_per_tenant_max,
    ),
    stop() {
      following.stop();
      watches.stop();
      rooms.stop();
      lanes.stop();
    },
  };
}

export const callerOf = ({ tenant, user, key }: Identity, ip: string): Caller => ({
  ...{ tenant, user, key, ip },
});

/** The conversation of this id in the sender's own tenant: no other can be named (I10). */
export const conversationRef = (who: Identity, id: string): ActorRef => ({
  tenant: who.tenant,
  kind: "conversation",
  id,
});

/**
 * Sends a command as this user and calls back once. The conversation is followed before the command
 * is published, so that its commit cannot be missed. Throws what refuses it before it is sent.
 */
export async function command(
  service: Service,
  who: Identity,
  request: {
    readonly ref: ActorRef;
    readonly name: string;
    readonly id: string;
    readonly data: object;
  },
  settled: (outcome: Outcome) => void,
  traceparent: string | null = null,
): Promise<void> {
  const { ref, data } = request;
  must(who, request.name === "rate" ? "conversations.rate" : "conversations.write");
  const model = "model" in data ? data.model : undefined;
  if (typeof model === "string" && !service.ports.knowsModel(model)) {
    throw new AppError("model_not_found");
  }
  const lease = service.rooms.enter(ref);
  try {
    await lease.room.opened;
    // Who may do what with it was in what the room has read; nobody owns what has not begun.
    const absent = lease.room.position.revision === 0;
    if (!absent && (await service.owners.access(ref, who)) === "denied") {
      throw new AppError("not_found");
    }
  } catch (error) {
    lease.release();
    throw error instanceof AppError ? error : new AppError("unavailable");
  }
  const by = { type: "user" as const, id: who.user };
  const manages = permits(who, "conversations.manage");
  service.commands.run({ ...request, by, manages, traceparent }, (outcome) => {
    if (outcome.ok) {
      service.sequences.saw(ref, outcome.sequence);
      lease.room.expect(outcome.revision);
    }
    lease.release();
    settled(outcome);
  });
}
