/**
 * `/asyncapi.json`: AsyncAPI 3.0 of what is no request with one answer: the frames of the WebSocket, the
 * commands that any NATS client may publish, and the feed of events. Made of `schemas/`.
 */
import { Reply } from "../../schemas/commands.ts";
import { publicCommands } from "../../schemas/commands/conversation.ts";
import { publicTypes } from "../../schemas/feed-payloads.ts";
import { cloudEventType, feedEventOf } from "../../schemas/feed.ts";
import { clientFrames } from "../../schemas/frames.ts";
import { kinds, tenant_pattern, uuid_pattern, Uuid } from "../../schemas/ids.ts";
import { limits } from "../../schemas/limits.ts";
import { serverFrames } from "../../schemas/server-frames.ts";
import type { Schema } from "../../schemas/validate.ts";
import { described, type Json } from "./references.ts";

type JsonObject = { readonly [name: string]: Json };

const json = "application/json";
const message = (name: string, payload: Json, contentType = json): JsonObject => ({
  ...{ name, contentType, payload },
});
const refer = (channel: string, names: readonly string[]): Json =>
  names.map((name) => ({ $ref: `#/channels/${channel}/messages/${name}` }));
const messagesOf = (schemas: Readonly<Record<string, Schema>>, prefix: string): JsonObject =>
  Object.fromEntries(
    Object.entries(schemas).map(([name, schema]) => [
      `${prefix}${name}`,
      message(name, described(schema)),
    ]),
  );

const received = messagesOf(clientFrames, "client-");
const sent = messagesOf(serverFrames, "server-");
const commands: JsonObject = Object.fromEntries(
  Object.entries(publicCommands).map(([name, schema]) => [
    name,
    {
      ...message(name, {
        ...{ type: "object", additionalProperties: false, required: ["id", "data"] },
        properties: { id: described(Uuid), data: described(schema) },
      }),
      headers: {
        type: "object",
        properties: {
          "Colloquy-Reply": {
            type: "string",
            description: "Where the reply goes: `reply.<tenant>.…` and nowhere else.",
          },
          traceparent: { type: "string", description: "W3C Trace Context." },
        },
      },
    },
  ]),
);
const feed: JsonObject = Object.fromEntries(
  publicTypes.map((row) => [
    row.type,
    message(cloudEventType(row), described(feedEventOf(row)), "application/cloudevents+json"),
  ]),
);

const tenant = { description: `The tenant's slug, ${tenant_pattern}.` };
const id = { description: `The actor's id, ${uuid_pattern}.` };

export const asyncApi = (): JsonObject => ({
  asyncapi: "3.0.0",
  info: {
    title: "Colloquy",
    version: "1.0.0",
    description: "Live frames, commands and events. Requests over HTTP are in /openapi.json.",
  },
  defaultContentType: json,
  servers: {
    gateway: {
      host: "localhost:8080",
      protocol: "ws",
      description: "A gateway. `Authorization: Bearer …`, or subprotocols `colloquy.v1, bearer.…`.",
      security: [{ $ref: "#/components/securitySchemes/token" }],
    },
    nats: {
      host: "localhost:4222",
      protocol: "nats",
      description: "The NATS server, for integrations with a user of their own.",
      security: [{ $ref: "#/components/securitySchemes/natsUser" }],
    },
  },
  channels: {
    chat: {
      address: "/ws/chat",
      title: "The WebSocket",
      description: `Text frames, one JSON object each, at most ${limits.frame_bytes_max} bytes from the client.`,
      servers: [{ $ref: "#/servers/gateway" }],
      messages: { ...received, ...sent },
    },
    commands: {
      address: "cmd.{tenant}.{kind}.{id}.{name}",
      title: "Commands",
      description: "The last token of the subject is the command's name.",
      servers: [{ $ref: "#/servers/nats" }],
      parameters: {
        ...{ tenant, id },
        kind: { description: "The kind of actor.", enum: [...kinds] },
        name: { description: "The command.", enum: Object.keys(publicCommands) },
      },
      messages: commands,
    },
    replies: {
      address: "reply.{tenant}.{rest}",
      title: "Replies to commands",
      servers: [{ $ref: "#/servers/nats" }],
      parameters: { tenant, rest: { description: "What the sender chose." } },
      messages: { reply: message("reply", described(Reply)) },
    },
    feed: {
      address: "feed.{tenant}.{noun}.{verb}.{id}",
      title: "Events",
      description: "Every event of the tenant once, in the order of the log: stream FEED, 7 days.",
      servers: [{ $ref: "#/servers/nats" }],
      parameters: {
        ...{ tenant, id },
        noun: { description: "The first part of the event's type, as `turn`." },
        verb: { description: "The second, as `completed`." },
      },
      messages: feed,
    },
  },
  operations: {
    receiveFrame: {
      action: "receive",
      channel: { $ref: "#/channels/chat" },
      summary: "What a client sends.",
      messages: refer("chat", Object.keys(received)),
    },
    sendFrame: {
      action: "send",
      channel: { $ref: "#/channels/chat" },
      summary: "What a client is sent.",
      messages: refer("chat", Object.keys(sent)),
    },
    receiveCommand: {
      action: "receive",
      channel: { $ref: "#/channels/commands" },
      summary: "A command from an integration.",
      messages: refer("commands", Object.keys(commands)),
      reply: {
        channel: { $ref: "#/channels/replies" },
        messages: refer("replies", ["reply"]),
      },
    },
    sendEvent: {
      action: "send",
      channel: { $ref: "#/channels/feed" },
      summary: "An event, once it is in the log.",
      messages: refer("feed", Object.keys(feed)),
    },
  },
  components: {
    securitySchemes: {
      token: {
        ...{ type: "http", scheme: "bearer", bearerFormat: "JWT" },
        description: "An access token or an API key.",
      },
      natsUser: { type: "userPassword", description: "A user of the NATS server." },
    },
  },
});
