/**
 * A tenant that asks for as much as it can, in a process of its own, so that what reading its answers
 * costs is not waited for by whoever is measured. Arguments: the URL, a token, sockets, turns, readers.
 * Asked by its parent it tells how much it has got done; it ends with its parent.
 */
import { type Chatter, openChatter } from "./chatter.ts";
import { pause } from "./figures.ts";

const [url = "", token = "", ...amounts] = process.argv.slice(2);
const [sockets = 0, turns = 0, readers = 0] = amounts.map(Number);
const done = { turns: 0, reads: 0 };

/** Turn after turn; what is refused is tried again, as a client would. */
async function talk(chatter: Chatter | undefined): Promise<never> {
  for (;;) {
    try {
      await chatter?.turn("loud");
      done.turns++;
    } catch {
      await pause(100);
    }
  }
}

async function readOn(): Promise<never> {
  const headers = { authorization: `Bearer ${token}` };
  for (;;) {
    const answer = await fetch(`${url}/api/v1/conversations?limit=10`, { headers });
    await answer.arrayBuffer();
    if (answer.ok) done.reads++;
    else await pause(100);
  }
}

const chatters = await Promise.all(Array.from({ length: sockets }, () => openChatter(url, token)));
process.on("message", () => process.send?.(done));
process.on("disconnect", () => process.exit(0));
for (let n = 0; n < turns; n++) void talk(chatters[n % sockets]);
for (let n = 0; n < readers; n++) void readOn();
process.stdout.write("loud\n");
