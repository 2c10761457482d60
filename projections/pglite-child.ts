/**
 * The process of the embedded database: PGlite with pgvector behind a socket, so that its WASM never
 * stalls our loop. Arguments: the data folder and the port (0: a free one). It says `{ port }` to
 * its parent when it is ready, and ends by itself when the parent is gone: no orphan keeps the folder.
 */
import type { AddressInfo } from "node:net";
import { PGlite } from "@electric-sql/pglite";
import { vector } from "@electric-sql/pglite-pgvector";
import { limits } from "../schemas/limits.ts";
import { damaged_exit } from "./pglite-exit.ts";
import { serveSession } from "./pglite-session.ts";

const [folder, port] = process.argv.slice(2);
if (folder === undefined || port === undefined) throw new TypeError("usage: <folder> <port>");

const fail = (error: unknown, code = 1): never => {
  process.stderr.write(
    `${error instanceof Error ? (error.stack ?? error.message) : String(error)}\n`,
  );
  process.exit(code);
};
process.on("disconnect", () => stop());
process.on("SIGTERM", () => stop());
// A terminal's Ctrl-C is for our parent, which stops us last.
process.on("SIGINT", () => undefined);

let opened: PGlite | null = null;
let stopping = false;
function stop(): void {
  if (stopping) return;
  stopping = true;
  if (opened === null) process.exit(0);
  opened.close().then(
    () => process.exit(0),
    (error: unknown) => fail(error),
  );
}

const database = await PGlite.create({ dataDir: folder, extensions: { vector } }).catch(
  (error: unknown) => fail(error, damaged_exit),
);
opened = database;
await database.exec("CREATE EXTENSION IF NOT EXISTS vector").catch((error: unknown) => {
  return fail(error, damaged_exit);
});

const sync = Uint8Array.of(0x53, 0, 0, 0, 4);
const server = serveSession(
  {
    execute: (messages, onBytes) =>
      database.runExclusive(() => database.execProtocolRawStream(messages, { onRawData: onBytes })),
    async reset() {
      await database.runExclusive(() =>
        database.execProtocolRawStream(sync, { onRawData: () => undefined }),
      );
      await database.exec("ROLLBACK");
    },
  },
  {
    held_ms: limits.session_held_ms,
    onFailure: (error) => fail(error),
    onDamage: () => fail("the database found damaged data", damaged_exit),
  },
);
server.on("error", (error) => fail(error));
server.listen(Number(port), "127.0.0.1", () => {
  // A listening TCP server has an AddressInfo.
  const address = server.address() as AddressInfo;
  process.send?.({ port: address.port });
});
