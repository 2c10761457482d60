/** The embedded database as a child: many clients, deaths, damage, a folder that can be moved. */
import { readdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { connect } from "node:net";
import { once } from "node:events";
import { join } from "node:path";
import pg from "pg";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type Pglite, startPglite } from "../../projections/pglite-server.ts";
import { connectDatabase } from "../../projections/postgres.ts";
import { temporary } from "../support/services.ts";

const filesOf = (folder: string): string[] =>
  readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name));

/** Waits until a query works again. */
async function answers(url: string): Promise<void> {
  for (;;) {
    const database = await connectDatabase(url).catch(() => null);
    if (database === null) continue;
    await database.close();
    return;
  }
}

const alive = (pid: number): boolean => {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
};

describe("the embedded database", () => {
  const dir = temporary("pglite-server");
  const folder = join(dir, "data");
  const lines: string[] = [];
  let pglite: Pglite;
  const start = async (): Promise<void> => {
    pglite = await startPglite({ folder, log: (line) => lines.push(line) });
  };

  beforeAll(start);
  afterAll(async () => {
    await pglite?.stop();
    rmSync(dir, { recursive: true, force: true });
  });

  test("many clients at once each get their own answers, inside and outside of transactions", async () => {
    const clients = await Promise.all(
      Array.from({ length: 8 }, async () => {
        const client = new pg.Client(pglite.url);
        await client.connect();
        return client;
      }),
    );
    await clients[0]?.query("CREATE TABLE counted (n integer)");
    await Promise.all(
      clients.map(async (client, index) => {
        for (let round = 0; round < 30; round++) {
          const want = index * 1_000 + round;
          const { rows } = await client.query("SELECT $1::int AS n, $2::text AS t", [
            want,
            `c${index}`,
          ]);
          expect(rows).toEqual([{ n: want, t: `c${index}` }]);
          // An error of one must not swallow the next message of another.
          if (round % 7 === index % 7) {
            await expect(client.query("SELECT 1 / $1::int", [0])).rejects.toMatchObject({
              code: "22012",
            });
          }
          if (round % 5 === 0) {
            await client.query("BEGIN");
            await client.query("INSERT INTO counted VALUES ($1)", [want]);
            await client.query(index % 2 === 0 ? "COMMIT" : "ROLLBACK");
          }
        }
      }),
    );
    const { rows } = (await clients[0]?.query("SELECT count(*)::int AS n FROM counted")) ?? {};
    expect(rows).toEqual([{ n: 4 * 6 }]);
    for (const client of clients) await client.end();
  });

  test("a client that vanishes in its transaction is rolled back, and the others go on", async () => {
    const leaving = new pg.Client(pglite.url);
    leaving.on("error", () => undefined);
    await leaving.connect();
    await leaving.query("BEGIN");
    await leaving.query("CREATE TABLE never (n integer)");
    const staying = new pg.Client(pglite.url);
    const asked = staying.connect().then(() => staying.query("SELECT to_regclass('never') AS t"));
    // The connection's socket is not part of its types.
    const { stream } = (leaving as object as { connection: { stream: { destroy(): void } } })
      .connection;
    stream.destroy();
    expect((await asked).rows).toEqual([{ t: null }]);
    await staying.end();
  });

  test("rubbish on the socket hurts nobody", async () => {
    const port = Number(new URL(pglite.url).port);
    for (const bytes of ["GET / HTTP/1.1\r\n\r\n", "\0\0\0\0\0\0\0\0\0\0", "\xff".repeat(64)]) {
      const socket = connect(port, "127.0.0.1");
      socket.on("error", () => undefined);
      socket.end(Buffer.from(bytes, "latin1"));
      socket.resume();
      await once(socket, "close");
    }
    const database = await connectDatabase(pglite.url);
    expect(await database.query("SELECT 1 AS one")).toEqual([{ one: 1 }]);
    await database.close();
  });

  test("large answers and large questions pass whole", async () => {
    const database = await connectDatabase(pglite.url);
    const long = "läng".repeat(500_000);
    const rows = await database.query("SELECT n, $1::text AS t FROM generate_series(1, 4) n", [
      long,
    ]);
    expect(rows.map((row) => row["t"] === long)).toEqual([true, true, true, true]);
    await database.close();
  });

  test("killed, it is started again on the same address, with its rows", async () => {
    const before = pglite.pid;
    process.kill(before, "SIGKILL");
    await answers(pglite.url);
    expect(pglite.pid).not.toBe(before);
    const database = await connectDatabase(pglite.url);
    expect(await database.query("SELECT count(*)::int AS n FROM counted")).toEqual([{ n: 24 }]);
    expect(await database.query("SELECT '[1,2]'::vector <-> '[1,4]'::vector AS d")).toEqual([
      { d: 2 },
    ]);
    await database.close();
  });

  test("nothing in its folder holds the folder's path", async () => {
    await pglite.stop();
    for (const file of filesOf(folder)) expect(readFileSync(file).includes(dir), file).toBe(false);
    await start();
  });

  test("a damaged folder is moved aside and begun anew", async () => {
    await pglite.stop();
    const control = filesOf(folder).find((file) => file.endsWith("pg_control"));
    if (control === undefined) throw new Error("no control file");
    writeFileSync(control, Buffer.alloc(statSync(control).size, 0x5a));
    await start();
    expect(readdirSync(dir).toSorted()).toEqual([
      "data",
      "data.damaged-1",
      "data.pid",
      "data.port",
    ]);
    expect(lines.some((line) => line.includes("damaged"))).toBe(true);
    const database = await connectDatabase(pglite.url);
    expect(await database.query("SELECT to_regclass('counted') AS t")).toEqual([{ t: null }]);
    await database.close();
  });

  test("damage that only a query meets is moved aside as well", async () => {
    const database = await connectDatabase(pglite.url);
    await database.query(
      "CREATE TABLE big AS SELECT n, repeat('x', 100) AS t FROM generate_series(1, 5000) n",
    );
    const [row] = await database.query("SELECT pg_relation_filepath('big') AS path");
    await database.query("CHECKPOINT");
    await pglite.stop();
    await database.close();
    const file = join(folder, String(row?.["path"]));
    // A page whose header is rubbish.
    const bytes = readFileSync(file);
    bytes.fill(0xa5, 8192, 8192 + 64);
    writeFileSync(file, bytes);
    await start();
    const again = await connectDatabase(pglite.url);
    await expect(again.query("SELECT count(t) FROM big")).rejects.toMatchObject({
      code: "unavailable",
    });
    await answers(pglite.url);
    expect(await again.query("SELECT to_regclass('big') AS t")).toEqual([{ t: null }]);
    await again.close();
    expect(readdirSync(dir)).toContain("data.damaged-2");
  });

  test("stopped, its process is gone, and stopping twice is fine", async () => {
    const { pid } = pglite;
    await pglite.stop();
    await pglite.stop();
    await pglite.exited;
    expect(alive(pid)).toBe(false);
  });
});
