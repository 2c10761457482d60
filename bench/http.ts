/**
 * `http`: requests per second, and how long one takes. `requests_per_s` is the edge by itself: a read
 * that is authenticated, may be done, and is answered from memory, beside a bare uWebSockets.js route
 * that writes as many bytes. Then a read of one conversation, which asks the database, and a command,
 * which waits for its commit and for the read model to show it.
 */
import { beside, type Side } from "./beside.ts";
import { startDatabase } from "./databases.ts";
import { figure, percentile, type Print, rate } from "./figures.ts";
import { run, serve } from "./processes.ts";
import { rawHttp } from "./raw-http.ts";

/** Requests on their way at once, each on a connection of its own. */
const width = 64;

interface Asked {
  readonly method: string;
  readonly path: string;
  readonly token?: string;
  readonly body?: string;
}

export async function http(
  print: Print,
  scale: number,
  say: (line: string) => void,
): Promise<void> {
  const database = await startDatabase();
  const served = await serve("default", { DATABASE_URL: database.url });
  say(`database: ${database.what}`);
  const bare = await run(["bench/bare-server.ts"], /^listening (\d+)$/);
  try {
    const token = await served.token();
    const edge = { method: "GET", path: "/api/v1/models", token };
    const [count, few] = [Math.round(20_000 * scale), Math.round(2_000 * scale)];
    const bareUrl = `http://127.0.0.1:${bare.said[1] ?? ""}`;
    const delays: number[] = [];
    const ours: Side = {
      ...{ count, pids: [served.pid] },
      async run() {
        const { per_s, delays: all } = await load(served.url, count, () => edge);
        delays.push(...all);
        return per_s;
      },
    };
    const limit: Side = {
      ...{ count, pids: [bare.pid] },
      run: async () => (await load(bareUrl, count, () => edge)).per_s,
    };
    const names = { scenario: "http", job: "request", suffix: "" };
    for (const one of await beside(names, ours, limit)) print(one);
    print(figure("http", "request_p95_ms", percentile(delays, 95), "ms"));

    const ids = Array.from({ length: width }, () => crypto.randomUUID());
    const api = "/api/v1/conversations";
    await load(served.url, width, (at) => ({
      ...{ method: "POST", path: api, token, body: JSON.stringify({ id: ids[at % width] }) },
    }));
    const of = (at: number): string => `${api}/${ids[at % width] ?? ""}`;
    const tell = (name: string, { per_s, delays: all }: Load): void => {
      print(figure("http", `${name}s_per_s`, per_s, "1/s"));
      print(figure("http", `${name}_p95_ms`, percentile(all, 95), "ms"));
    };
    tell("read", await load(served.url, few, (at) => ({ method: "GET", path: of(at), token })));
    const title = (at: number): string => JSON.stringify({ title: `Number ${at}` });
    tell(
      "command",
      await load(served.url, few, (at) => ({
        ...{ method: "PATCH", path: of(at), token, body: title(at) },
      })),
    );
  } finally {
    await bare.kill();
    await served.end();
    await database.stop();
  }
}

interface Load {
  readonly per_s: number;
  readonly delays: readonly number[];
}

async function load(url: string, count: number, asked: (at: number) => Asked): Promise<Load> {
  const free = await Promise.all(Array.from({ length: width }, () => rawHttp(url)));
  const all = [...free];
  const delays: number[] = [];
  try {
    const per_s = await rate(count, width, async (at) => {
      const connection = free.pop();
      if (connection === undefined) throw new Error("more at once than there are connections");
      delays.push(await connection.ask(asked(at)));
      free.push(connection);
    });
    return { per_s, delays };
  } finally {
    for (const connection of all) connection.end();
  }
}
