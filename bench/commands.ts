/**
 * `commands`: commands per second that are acknowledged with their commit: published to COMMANDS,
 * pulled by a worker process, decided on by their actor, appended, answered, acknowledged; beside the
 * bare loop of the same run. What is asked is the change of a title, of conversations that are awake;
 * then the first command of new ones, whose key is made on the way.
 */
import { type ActorRef, systemIds } from "../schemas/ids.ts";
import type { Reply } from "../schemas/commands.ts";
import { commandPublisher } from "../streams/commands.ts";
import { openReplies } from "../streams/replies.ts";
import { events_stream } from "../streams/topology.ts";
import { startBareLoop } from "./bare-loop.ts";
import { figure, median, type Print, rate } from "./figures.ts";
import { install, type Installation, settled } from "./installation.ts";

const conversations_max = 512;
/** Commands on their way at once, each to another conversation. */
const width_max = 256;
const rounds = 5;
const late_ms = 30_000;

export async function commands(print: Print, scale: number): Promise<void> {
  for (const sync of ["default", "always"] as const) {
    const suffix = sync === "default" ? "" : "_sync_always";
    const count = Math.round((sync === "default" ? 6_000 : 2_000) * scale);
    const conversations = Math.min(conversations_max, count);
    const width = Math.min(width_max, conversations);
    const installation = await install(sync);
    try {
      await installation.worker();
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
      const limit = (): Promise<number> => rate(count, width, () => bare.command(payload));
      await limit();

      const beside = async (name: string, measured: () => Promise<number>): Promise<void> => {
        const results: { ours: number; bare: number }[] = [];
        for (let round = 0; round < rounds; round++) {
          results.push({ bare: await limit(), ours: await measured() });
        }
        const value = median(results.map((one) => one.ours));
        const bares = median(results.map((one) => one.bare));
        const ratio = median(results.map((one) => one.ours / one.bare));
        print(figure("commands", `${name}${suffix}`, value, "1/s", bares, ratio));
      };
      await beside("commands_per_s", ours);
      await beside("first_commands_per_s", () =>
        rate(count, width, () => send(newRef(), "create", { title: "A title" })),
      );
      await installation.worker();
      await settled();
      await ours();
      await beside("commands_per_s_two_workers", ours);
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
