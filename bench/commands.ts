/**
 * `commands`: commands per second that are acknowledged with their commit: published to COMMANDS,
 * pulled by a worker process, decided on by their actor, appended, answered, acknowledged; beside the
 * bare loop of the same run. What is asked is the change of a title, of conversations that are awake;
 * then the first command of new ones, whose key is made on the way.
 */
import { type ActorRef, systemIds } from "../schemas/ids.ts";
import type { Reply } from "../schemas/commands.ts";
import { commandPublisher } from "../streams/queue/commands.ts";
import { openReplies } from "../streams/live/replies.ts";
import { events_stream } from "../streams/topology.ts";
import { startBareLoop } from "./bare-loop.ts";
import { beside, type Side } from "./beside.ts";
import { type Print, rate, type Sync } from "./figures.ts";
import { install, type Installation, settled } from "./installation.ts";

const conversations_max = 512;
/** Commands on their way at once, each to another conversation. */
const width_max = 256;
const late_ms = 30_000;

export async function commands(print: Print, scale: number, syncs: readonly Sync[]): Promise<void> {
  for (const sync of syncs) {
    const suffix = sync === "default" ? "" : "_sync_always";
    const count = Math.round((sync === "default" ? 6_000 : 2_000) * scale);
    const conversations = Math.min(conversations_max, count);
    const width = Math.min(width_max, conversations);
    const installation = await install(sync);
    try {
      const workers = [await installation.worker()];
      const send = sender(installation);
      const refs = Array.from({ length: conversations }, newRef);
      const refOf = (at: number): ActorRef => refs[at % refs.length] ?? newRef();
      await rate(refs.length, width, (at) => send(refOf(at), "create", {}));
      const ours = (): Promise<number> =>
        rate(count, width, (at) => send(refOf(at), "update", { title: `A title, number ${at}` }));
      await ours();
      const stored = await installation.streams.jsm.streams.getMessage(events_stream, {
        last_by_subj: "evt.>",
      });
      const { streams, natsUrl } = installation;
      const bare = await startBareLoop(streams, natsUrl, stored?.data.length ?? 600);
      const payload = Buffer.from(JSON.stringify({ id: systemIds(), data: { title: "A title" } }));
      const { natsPid } = installation;
      const limit: Side = {
        ...{ count, pids: [natsPid, bare.pid] },
        run: () => rate(count, width, () => bare.command(payload)),
      };
      await limit.run();
      const measure = async (job: string, more: string, run: Side["run"]): Promise<void> => {
        const pids = [natsPid, ...workers.map(({ pid }) => pid)];
        const names = { scenario: "commands", job, suffix: `${more}${suffix}` };
        for (const one of await beside(names, { count, pids, run }, limit)) print(one);
      };
      await measure("command", "", ours);
      await measure("first_command", "", () =>
        rate(count, width, () => send(newRef(), "create", { title: "A title" })),
      );
      workers.push(await installation.worker());
      await settled();
      await ours();
      await measure("command", "_two_workers", ours);
      await bare.end();
    } finally {
      await installation.end();
    }
  }
}

const newRef = (): ActorRef => ({ tenant: "bench", kind: "conversation", id: systemIds() });

/** Publishes a command; resolves when it is stored and its commit is. */
function sender({ streams, secret }: Installation) {
  const publisher = commandPublisher(streams, secret);
  const replies = openReplies(streams, systemIds());
  return async (ref: ActorRef, name: string, data: object): Promise<void> => {
    const id = systemIds();
    const answered = new Promise<Reply>((resolve, reject) => {
      const late = setTimeout(() => reject(new Error(`${name} was not answered`)), late_ms);
      const end = replies.on(id, (reply) => {
        clearTimeout(late);
        end();
        resolve(reply);
      });
    });
    const command = {
      ...{ ref, name, id, data, by: { type: "user", id: "bench" } as const },
      ...{ reply: replies.subject(ref.tenant), traceparent: null },
    };
    const [reply] = await Promise.all([answered, publisher.publish(command)]);
    if (!reply.ok) throw new Error(`${name} was refused: ${reply.error.code}`);
  };
}
