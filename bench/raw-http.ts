/**
 * An HTTP client that costs little: keep-alive connections over raw TCP, one request each at a time, and
 * of an answer only its status and where it ends. `fetch` alone is slower than the server it would measure.
 */
import { once } from "node:events";
import { connect } from "node:net";

/** One connection. */
export interface RawHttp {
  /** Resolves when it is answered, with the ms that it took. Throws for any status but 2xx. */
  ask(request: { method: string; path: string; token?: string; body?: string }): Promise<number>;
  end(): void;
}

export async function rawHttp(url: string): Promise<RawHttp> {
  const { hostname, port, host } = new URL(url);
  const socket = connect(Number(port), hostname).setNoDelay(true);
  await once(socket, "connect");
  let heard: Buffer = Buffer.alloc(0);
  let waiting: ((answer: string) => void) | null = null;
  socket.on("data", (chunk: Buffer) => {
    heard = heard.length === 0 ? chunk : Buffer.concat([heard, chunk]);
    const end = heard.indexOf("\r\n\r\n");
    if (end === -1) return;
    const head = heard.toString("latin1", 0, end);
    const length = Number(/content-length: (\d+)/i.exec(head)?.[1] ?? 0);
    if (heard.length < end + 4 + length) return;
    const answer = heard.toString("latin1");
    heard = Buffer.alloc(0);
    waiting?.(answer);
  });
  return {
    ask: ({ method, path, token, body = "" }) =>
      new Promise((resolve, reject) => {
        const began = performance.now();
        waiting = (answer) => {
          if (/^HTTP\/1\.1 2/.test(answer)) resolve(performance.now() - began);
          else reject(new Error(answer.slice(0, 500)));
        };
        const fields = [
          `${method} ${path} HTTP/1.1`,
          `Host: ${host}`,
          ...(token === undefined ? [] : [`Authorization: Bearer ${token}`]),
          ...(body === "" ? [] : ["Content-Type: application/json"]),
          ...(body === "" ? [] : [`Content-Length: ${Buffer.byteLength(body)}`]),
        ];
        socket.write(`${fields.join("\r\n")}\r\n\r\n${body}`);
      }),
    end: () => void socket.destroy(),
  };
}
