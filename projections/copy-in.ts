/**
 * `COPY … FROM STDIN` by the driver's own query, which lacks only the bytes to send: the answer to the
 * server's "go on" is all of them and "done". They lie in memory already, so there is nothing to pace.
 */
import pg from "pg";

/** CopyData and CopyDone of the wire protocol: a letter and the length of what follows. */
const data_header = (bytes: number): Uint8Array => {
  const header = Buffer.from([0x64, 0, 0, 0, 0]);
  header.writeUInt32BE(bytes + 4, 1);
  return header;
};
const done = Buffer.from([0x63, 0, 0, 0, 4]);

class CopyIn extends pg.Query {
  readonly #chunks: readonly Uint8Array[];

  constructor(text: string, chunks: readonly Uint8Array[], call: (error?: Error) => void) {
    super(text, call);
    this.#chunks = chunks;
  }

  /** Called by the driver (pg 8.23) when the server wants the bytes. */
  handleCopyInResponse({ stream }: pg.Connection): void {
    stream.cork();
    for (const chunk of this.#chunks) {
      stream.write(data_header(chunk.length));
      stream.write(chunk);
    }
    stream.write(done);
    stream.uncork();
  }
}

/** Resolves when the server has taken all; throws what the driver throws. */
export function copyIn(
  client: pg.ClientBase,
  text: string,
  chunks: readonly Uint8Array[],
): Promise<void> {
  return new Promise((resolve, reject) => {
    client.query(
      new CopyIn(text, chunks, (error) => (error instanceof Error ? reject(error) : resolve())),
    );
  });
}
