/** The part of `ws` that the scripted gateway uses; the package brings no types of its own. */
declare module "ws" {
  import type { IncomingMessage } from "node:http";
  import type { Duplex } from "node:stream";

  export interface WebSocket {
    send(text: string): void;
    terminate(): void;
    on(event: "close", call: () => void): void;
    on(event: "message", call: (data: Buffer) => void): void;
  }
  export class WebSocketServer {
    constructor(options: { noServer: true; handleProtocols: () => string });
    readonly clients: ReadonlySet<WebSocket>;
    handleUpgrade(
      request: IncomingMessage,
      socket: Duplex,
      head: Buffer,
      call: (socket: WebSocket) => void,
    ): void;
    close(): void;
  }
}
