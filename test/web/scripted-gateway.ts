/**
 * A gateway that follows a script: real HTTP, real WebSockets, the frames of docs/PROTOCOL.md, an
 * answer whose pieces the test lets out one by one. It can cut every socket, lose acks, and send
 * frames twice or with gaps, which a well-behaved gateway never does and a client must survive.
 */
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { type WebSocket, WebSocketServer } from "ws"; // typed by ws.d.ts
import type { After, ClientEvent, ClientFrame, ServerFrame } from "../../schemas/frames.ts";
import { uuidv7 } from "../../schemas/ids.ts";
import { newTale, type Tale } from "./scripted-tale.ts";
import { pageFiles } from "./page-files.ts";

export interface ScriptedGateway {
  readonly url: string;
  readonly socket: string;
  readonly tales: ReadonlyMap<string, Tale>;
  /** Commands as they came, repeats included. */
  readonly heard: ClientFrame[];
  /** Called with each command before it is handled; true swallows its ack by cutting the socket. */
  loseAck: (frame: ClientFrame) => boolean;
  /** Called per frame to a subscriber: how many times it is sent (0 loses it). */
  copies: () => number;
  tale(conversation: string): Tale;
  /** Appends an event and tells it to every subscriber. */
  event(conversation: string, event: ClientEvent): void;
  token(conversation: string, content: string): void;
  /** Begins an answer to the newest user's message. */
  begin(conversation: string): void;
  finish(conversation: string, type?: "turn.completed" | "turn.failed", code?: string): void;
  restart(conversation: string): void;
  cut(): void;
  refuseSockets: boolean;
  stop(): Promise<void>;
}

export async function startScriptedGateway(): Promise<ScriptedGateway> {
  const tales = new Map<string, Tale>();
  const subscribers = new Map<WebSocket, Set<string>>();
  const files = pageFiles();
  const heard: ClientFrame[] = [];
  const acks = new Map<string, number>();

  const tell = (socket: WebSocket, frame: ServerFrame): void => socket.send(JSON.stringify(frame));
  const spread = (conversation: string, frames: readonly ServerFrame[]): void => {
    for (const [socket, rooms] of subscribers) {
      if (!rooms.has(conversation)) continue;
      for (const frame of frames) {
        for (let copy = gateway.copies(); copy > 0; copy -= 1) tell(socket, frame);
      }
    }
    const change = tales.get(conversation)?.change();
    if (change !== undefined && frames.some(({ type }) => type === "event")) {
      for (const socket of subscribers.keys())
        tell(socket, { type: "changed", conversation: change });
    }
  };
  const follow = (socket: WebSocket, conversation: string, after: After): void => {
    for (const frame of gateway.tale(conversation).replay(after)) tell(socket, frame);
    subscribers.get(socket)?.add(conversation);
  };

  const handle = (socket: WebSocket, frame: ClientFrame): void => {
    if (frame.type === "ping") return tell(socket, { type: "pong" });
    if (frame.type === "auth") return tell(socket, { type: "authenticated", expiresIn: 900 });
    if (frame.type === "watch") return tell(socket, { type: "watched", id: frame.id });
    heard.push(frame);
    const { id, conversation } = frame;
    if (frame.type === "subscribe") {
      if (!tales.has(conversation)) {
        const error = { code: "not_found", message: "There is nothing here." } as const;
        return tell(socket, { type: "nack", id, error });
      }
      follow(socket, conversation, frame.after ?? { revision: 0 });
      const { revision } = gateway.tale(conversation);
      return tell(socket, { type: "subscribed", id, conversation, revision });
    }
    if (frame.type === "unsubscribe") {
      subscribers.get(socket)?.delete(conversation);
      return tell(socket, { type: "unsubscribed", id, conversation });
    }
    const tale = gateway.tale(conversation);
    const begun = tale.revision;
    const first = !acks.has(id);
    if (first) {
      const rooms = subscribers.get(socket);
      if (frame.type === "send" && rooms?.has(conversation) === false) rooms.add(conversation);
      spread(conversation, tale.command(frame));
      acks.set(id, tale.revision);
    }
    if (gateway.loseAck(frame)) return socket.terminate();
    const revision = first ? tale.revision : begun;
    tell(socket, { type: "ack", id, conversation, revision, seq: revision });
  };

  const serve = (request: IncomingMessage, response: ServerResponse): void => {
    const url = new URL(request.url ?? "/", "http://localhost");
    const file = files.get(url.pathname);
    const json = (status: number, body: object): void => {
      response.writeHead(status, { "content-type": "application/json" }).end(JSON.stringify(body));
    };
    if (file !== undefined) {
      const policy =
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'";
      const headers = { "content-type": file.type, "content-security-policy": policy };
      response.writeHead(200, headers).end(file.bytes);
      return;
    }
    if (url.pathname === "/api/v1/auth/local") {
      return json(200, { accessToken: "token", tenant: "local", user: "you", expiresIn: 900 });
    }
    const [, id, rest] =
      /^\/api\/v1\/conversations(?:\/([^/]+))?(\/messages)?$/.exec(url.pathname) ?? [];
    if (id === undefined) {
      const items = [...tales.values()].map((tale) => tale.conversation());
      return json(200, {
        items: items.filter(({ status }) => status === url.searchParams.get("status")),
        next: null,
      });
    }
    const tale = tales.get(id);
    if (tale === undefined) return json(404, { code: "not_found" });
    if (rest !== undefined) return json(200, { items: tale.messages(), next: null });
    json(200, tale.conversation());
  };

  const server = createServer(serve);
  const sockets = new WebSocketServer({ noServer: true, handleProtocols: () => "colloquy.v1" });
  server.on("upgrade", (request, raw, head) => {
    if (gateway.refuseSockets) return void raw.destroy();
    sockets.handleUpgrade(request, raw, head, (socket) => {
      subscribers.set(socket, new Set());
      socket.on("close", () => subscribers.delete(socket));
      socket.on("message", (data) => {
        // The client under test makes the frames; the real gateway's checks are tested elsewhere.
        handle(socket, JSON.parse(String(data)) as ClientFrame);
      });
      const limits = { frame_bytes_max: 65_536, text_chars_max: 60_000, subscriptions_max: 200 };
      tell(socket, { type: "ready", user: "you", tenant: "local", limits });
    });
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as AddressInfo; // a TCP server has this kind of address

  const gateway: ScriptedGateway = {
    url: `http://127.0.0.1:${String(port)}`,
    socket: `ws://127.0.0.1:${String(port)}/ws/chat`,
    tales,
    heard,
    loseAck: () => false,
    copies: () => 1,
    refuseSockets: false,
    tale(conversation) {
      const known = tales.get(conversation);
      if (known !== undefined) return known;
      const made = newTale(conversation, () => uuidv7(Date.now()));
      tales.set(conversation, made);
      return made;
    },
    event: (conversation, event) => spread(conversation, gateway.tale(conversation).event(event)),
    token: (conversation, content) =>
      spread(conversation, gateway.tale(conversation).token(content)),
    begin: (conversation) => spread(conversation, gateway.tale(conversation).begin()),
    finish: (conversation, type = "turn.completed", code = "") =>
      spread(conversation, gateway.tale(conversation).finish(type, code)),
    restart: (conversation) => spread(conversation, gateway.tale(conversation).restart()),
    cut() {
      for (const socket of sockets.clients) socket.terminate();
    },
    async stop() {
      gateway.cut();
      sockets.close();
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
  return gateway;
}
