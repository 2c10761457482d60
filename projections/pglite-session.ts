/**
 * Shares PGlite's one session between many socket clients. Postgres keeps unnamed statements, the
 * transaction and "skip everything until Sync after an error" per session, so a client that begins
 * a message owns the session until the server has answered ReadyForQuery "idle": whole queries and
 * whole transactions alternate, never their parts. (The socket server that comes with PGlite
 * alternates single protocol messages outside of transactions, which gives one client's parameters
 * to another's statement, and it stands still for ever after one failed message.)
 *
 * A client that leaves in the middle, or sits on the session too long, is rolled back.
 */
import { createServer, type Server, type Socket } from "node:net";
import { readOutput } from "./pglite-output.ts";

/** What is needed of PGlite: raw protocol in, raw protocol out. */
export interface Engine {
  /** Executes whole protocol messages, calling back with the server's bytes as they come. */
  execute(messages: Uint8Array, onBytes: (bytes: Uint8Array) => void): Promise<void>;
  /** Ends whatever a client has left open. */
  reset(): Promise<void>;
}

interface Client {
  readonly socket: Socket;
  /** Bytes not yet executed. */
  bytes: Buffer;
  started: boolean;
  gone: boolean;
}

const ssl_request = 80877103;
const gss_request = 80877104;
const cancel_request = 80877102;

/** The length of the whole messages at the beginning of `bytes`; a Terminate ends them. */
function wholeMessages(bytes: Buffer): { length: number; terminated: boolean } {
  let at = 0;
  while (bytes.length >= at + 5) {
    if (bytes[at] === 0x58) return { length: at, terminated: true };
    const next = at + 1 + bytes.readInt32BE(at + 1);
    if (next > bytes.length || next < at + 5) break;
    at = next;
  }
  return { length: at, terminated: false };
}

/**
 * Serves `engine` on 127.0.0.1. `held_ms`: how long the session may be held idle. `onFailure` is
 * called when the engine itself fails: then nothing can be trusted and the process should end.
 * `onDamage`: an answer said that the files are damaged.
 */
export function serveSession(
  engine: Engine,
  options: { held_ms: number; onFailure: (error: unknown) => void; onDamage: () => void },
): Server {
  const clients = new Set<Client>();
  let owner: Client | null = null;
  let working = false;
  let held: NodeJS.Timeout | undefined;

  const work = async (): Promise<void> => {
    if (working) return;
    working = true;
    try {
      for (let client = next(); client !== null; client = next()) await serve(client);
    } catch (error) {
      options.onFailure(error);
      return; // still `working`: nothing more is executed
    }
    working = false;
  };

  /** The owner if there is one (once it has something), else whoever has waited longest. */
  const next = (): Client | null => {
    if (owner !== null) return owner.gone || ready(owner) ? owner : null;
    for (const client of clients) if (ready(client)) return client;
    return null;
  };
  const ready = (client: Client): boolean =>
    client.started ? wholeMessages(client.bytes).length > 0 : client.bytes.length >= 8;

  const serve = async (client: Client): Promise<void> => {
    clearTimeout(held);
    if (client.gone) {
      clients.delete(client);
      if (owner === client) {
        owner = null;
        await engine.reset();
      }
      return;
    }
    // To the end of the line, so that others come before its next query.
    clients.delete(client);
    clients.add(client);
    const messages = client.started ? take(client) : startup(client);
    if (messages === null || messages.length === 0) return;
    owner = client;
    const output = readOutput();
    await engine.execute(messages, (bytes) => {
      // A copy: the bytes lie in the engine's own memory, which it uses again.
      const copy = Buffer.from(bytes);
      output.take(copy);
      if (!client.gone) client.socket.write(copy);
    });
    if (output.damaged()) options.onDamage();
    if (output.idle()) owner = null;
    else held = setTimeout(() => client.socket.destroy(), options.held_ms);
  };

  const take = (client: Client): Buffer => {
    const { length } = wholeMessages(client.bytes);
    const messages = client.bytes.subarray(0, length);
    client.bytes = client.bytes.subarray(length);
    return messages;
  };

  /** The first packet has no type byte; requests for encryption are refused, cancels ignored. */
  const startup = (client: Client): Buffer | null => {
    const length = client.bytes.readInt32BE(0);
    const code = client.bytes.readInt32BE(4);
    if (length < 8 || length > 10_000 || code === cancel_request) {
      client.socket.destroy();
      client.bytes = Buffer.alloc(0);
      return null;
    }
    if (client.bytes.length < length) return null;
    const packet = client.bytes.subarray(0, length);
    client.bytes = client.bytes.subarray(length);
    if (code === ssl_request || code === gss_request) {
      client.socket.write("N");
      return null;
    }
    client.started = true;
    return packet;
  };

  return createServer((socket) => {
    socket.setNoDelay(true);
    const client: Client = { socket, bytes: Buffer.alloc(0), started: false, gone: false };
    clients.add(client);
    socket.on("data", (data) => {
      client.bytes = client.bytes.length === 0 ? data : Buffer.concat([client.bytes, data]);
      if (client.started && wholeMessages(client.bytes).terminated) socket.end();
      void work();
    });
    socket.on("error", () => undefined);
    socket.on("close", () => {
      client.gone = true;
      if (owner !== client) clients.delete(client);
      void work();
    });
  });
}
