/** The client side of `ws` that tests and benches use; the package brings no types. */
declare module "ws" {
  export class WebSocket {
    constructor(
      url: string,
      protocols?: readonly string[],
      options?: {
        headers?: Record<string, string>;
        perMessageDeflate?: boolean;
        /** Certificates to trust, PEM. */
        ca?: string;
      },
    );
    /** What was agreed on, joined by commas. */
    readonly extensions: string;
    constructor(url: string, options: { headers?: Record<string, string> });
    send(data: string | Uint8Array, options?: { binary?: boolean; fin?: boolean }): void;
    /** Stops reading from the connection, so that the server's buffer fills. */
    pause(): void;
    resume(): void;
    close(code?: number, reason?: string): void;
    once(event: "open", call: () => void): void;
    once(event: "error", call: (error: Error) => void): void;
    on(event: "open", call: () => void): void;
    on(event: "close", call: (code: number, reason: Uint8Array) => void): void;
    on(event: "error", call: (error: Error) => void): void;
    on(
      event: "unexpected-response",
      call: (request: unknown, response: { statusCode: number }) => void,
    ): void;
  }
}
