/** The gateway on real parts, as a client that knows only the protocol sees it. */
import { connect as tcp } from "node:net";
import { beforeAll, describe, expect, test } from "vitest";
import { systemClock, systemIds } from "../../schemas/ids.ts";
import { commandPublisher } from "../../streams/queue/commands.ts";
import { secret } from "../streams/system.ts";
import { type Foreign, openForeign } from "./foreign.ts";
import { type Running, startRunning } from "./running.ts";

let running: Running;
beforeAll(async () => {
  running = await startRunning();
  return () => running.stop();
});

const api = "/api/v1/conversations";
const say = (client: Foreign, conversation: string, text: string, more: object = {}) =>
  client.ask({ type: "send", conversation, text, ...more });
/** The turn that an event names. */
const started = async (client: Foreign): Promise<string> => {
  const frame = await client.next(
    (one) => one.type === "event" && one.event.type === "turn.started",
  );
  return frame.type === "event" ? String(frame.event["turn"]) : "";
};
const upTo = (last: number): number[] => Array.from({ length: last }, (_, index) => index + 1);

describe("over WebSocket", () => {
  test("I5: ack first, then events and tokens in order, whose text is what is stored", async () => {
    const client = await running.connect();
    const conversation = systemIds();
    const ack = await say(client, conversation, "hello 你好 😀 [[tokens:9]]");
    expect(ack).toMatchObject({ type: "ack", conversation });
    expect(client.frames[1]).toEqual(ack);
    const turn = await started(client);
    const end = await client.next("end");
    expect(end).toMatchObject({ conversation, turn, finish: "stop" });
    expect(client.revisions(conversation)).toEqual(upTo(client.revisions(conversation).length));
    const { body } = await running.http("GET", `${api}/${conversation}/messages`);
    expect(body["items"]).toMatchObject([
      { role: "user", id: ack.id, text: "hello 你好 😀 [[tokens:9]]" },
      { role: "assistant", turn, text: client.text(turn), status: "done", finish: "stop" },
    ]);
    client.send({ type: "ping" });
    await client.next("pong");
  });

  test("I2: the same id again changes nothing and is acked again", async () => {
    const client = await running.connect();
    const conversation = systemIds();
    const id = systemIds();
    const frame = { type: "send", id, conversation, text: "once" };
    await client.ask(frame);
    await client.next("end");
    expect(await client.ask(frame)).toMatchObject({ type: "ack", id });
    const { body } = await running.http("GET", `${api}/${conversation}/messages`);
    expect(body["items"]).toHaveLength(2);
  });

  test("I6: a cursor in mid-answer goes on exactly there, also at another gateway", async () => {
    const client = await running.connect();
    const conversation = systemIds();
    await say(client, conversation, "long [[tokens:12]] [[gate]]");
    const turn = await started(client);
    running.world.provider.release(5);
    const seen = await client.next("token");
    const revision = client.revisions(conversation).length;
    const at = await running.another();
    const places = await Promise.all([running.connect(), running.connect({ at })]);
    const asked = places.map((place) =>
      place.ask({
        type: "subscribe",
        conversation,
        after: { revision, turn, attempt: 1, seq: seen.seq },
      }),
    );
    for (const answer of await Promise.all(asked)) expect(answer.type).toBe("subscribed");
    const fresh = await running.connect();
    await fresh.ask({ type: "subscribe", conversation });
    running.world.provider.release(7);
    for (const one of [client, fresh, ...places]) await one.next("end");
    const whole = client.text(turn);
    const head = client.frames.find((one) => one.type === "token")?.content ?? "";
    expect(fresh.text(turn)).toBe(whole);
    for (const place of places) {
      expect(head + place.text(turn, 1, seen.seq)).toBe(whole);
      expect(place.revisions(conversation)[0]).toBe(revision + 1);
    }
    const late = await running.connect();
    await late.ask({ type: "subscribe", conversation, after: { revision } });
    await late.next("end");
    expect(late.text(turn)).toBe(whole);
  });

  test("I6: a reader that another gateway brought further is told nothing twice", async () => {
    const client = await running.connect();
    const conversation = systemIds();
    await say(client, conversation, "step by step [[tokens:5]] [[gate]]");
    const turn = await started(client);
    const step = async (seq: number): Promise<void> => {
      running.world.provider.release(1);
      await client.next((one) => one.type === "token" && one.seq === seq);
    };
    await step(1);
    const revision = client.revisions(conversation).length;
    const further = await running.connect();
    await further.ask({ type: "subscribe", conversation });
    const after = { revision, turn, attempt: 1, seq: 3 };
    further.send({ type: "unsubscribe", id: systemIds(), conversation });
    await further.next("unsubscribed");
    const told = further.frames.length;
    further.send({ type: "subscribe", id: systemIds(), conversation, after });
    further.send({ type: "ping" });
    await further.next("pong");
    for (const seq of [2, 3, 4, 5]) await step(seq);
    await further.next("end");
    const seqs = further.frames.slice(told).flatMap((one) => (one.type === "token" ? one.seq : []));
    expect(seqs.at(-1)).toBe(5);
    const first = further.frames.slice(told).find((one) => one.type === "token");
    expect(first?.type === "token" && (first.from ?? first.seq)).toBe(4);
    expect(further.frames.slice(told).filter(({ type }) => type === "subscribed")).toHaveLength(1);
  });

  test("a cursor ahead of the log is refused, and so is a stranger's conversation", async () => {
    const client = await running.connect();
    const conversation = systemIds();
    await say(client, conversation, "mine");
    await client.next("end");
    const ahead = { type: "subscribe", conversation, after: { revision: 999 } };
    expect(await client.ask(ahead)).toMatchObject({ type: "nack", error: { code: "bad_cursor" } });
    for (const who of [{ user: "bob" }, { user: "ann", tenant: "other" }]) {
      const stranger = await running.connect(who);
      const nack = { type: "nack", error: { code: "not_found" } };
      expect(await stranger.ask({ type: "subscribe", conversation })).toMatchObject(nack);
      const { status, body } = await running.http("GET", `${api}/${conversation}`, who);
      expect([status, body["code"]]).toEqual([404, "not_found"]);
    }
    const bob = await running.connect({ user: "bob" });
    expect(await say(bob, conversation, "let me in")).toMatchObject({
      type: "nack",
      error: { code: "not_found" },
    });
  });

  test("after unsubscribe nothing of it comes; watch tells of the change", async () => {
    const client = await running.connect();
    const other = await running.connect();
    const conversation = systemIds();
    await other.ask({ type: "watch" });
    await say(client, conversation, "first");
    await client.next("end");
    await client.ask({ type: "unsubscribe", conversation });
    const told = client.frames.length;
    const answer = await running.http("PATCH", `${api}/${conversation}`, {
      body: { title: "Renamed" },
    });
    expect(answer.status).toBe(200);
    const changed = await other.next(
      (one) => one.type === "changed" && one.conversation.title === "Renamed",
    );
    expect(changed).toMatchObject({ conversation: { id: conversation, status: "active" } });
    client.send({ type: "ping" });
    await client.next("pong");
    expect(client.frames.slice(told).map(({ type }) => type)).toEqual(["pong"]);
  });

  test("cancel ends the turn with its text; regenerate and edit make branches", async () => {
    const client = await running.connect();
    const conversation = systemIds();
    const sent = await say(client, conversation, "stop me [[gate]] [[tokens:9]]");
    const turn = await started(client);
    running.world.provider.release(2);
    await client.next("token");
    expect(await client.ask({ type: "cancel", conversation })).toMatchObject({ type: "ack" });
    expect(await client.next("end")).toMatchObject({ turn, finish: "cancelled" });
    running.world.provider.release(7);
    const edit = { type: "edit", conversation, message: sent.id, text: "better" };
    expect(await client.ask(edit)).toMatchObject({ type: "ack" });
    const second = await started(client);
    expect(await client.next("end")).toMatchObject({ turn: second, finish: "stop" });
    const { body } = await running.http("GET", `${api}/${conversation}/messages`);
    const items = body["items"] as { id: string; role: string; text: string }[]; // as PROTOCOL.md
    expect(items.map(({ text }) => text)).toEqual(["better", client.text(second)]);
    const again = { type: "regenerate", conversation, message: items[1]?.id };
    expect(await client.ask(again)).toMatchObject({ type: "ack" });
    await client.next("end");
    const tree = await running.http("GET", `${api}/${conversation}/messages?all=true`);
    expect(tree.body["items"]).toHaveLength(5);
  });

  test("I1: a worker's lost reply is made good by the commit in the live lane", async () => {
    const { streams } = await running.world.system.client();
    const publisher = commandPublisher(streams, secret);
    // The reply goes nowhere; only the commit can answer.
    const publish = {
      publish: (command: Parameters<typeof publisher.publish>[0]) =>
        publisher.publish({ ...command, reply: null }),
    };
    const at = await running.another({ publish });
    const client = await running.connect({ at });
    const conversation = systemIds();
    expect(await say(client, conversation, "hello")).toMatchObject({ type: "ack", conversation });
    await client.next("end");
    expect(client.revisions(conversation)[0]).toBe(1);
  });

  test("a token's end is warned of, renewed, and in the end closes with 4401", async () => {
    // The gateway's clock is moved by hand: only waits that reach the token's end are its own.
    let ahead_ms = 0;
    const waits = new Set<{ at: number; call: () => void }>();
    const clock = {
      now: () => Date.now() + ahead_ms,
      after(ms: number, call: () => void) {
        if (ms < 20_000) return systemClock.after(ms, call);
        const wait = { at: clock.now() + ms, call };
        waits.add(wait);
        return () => void waits.delete(wait);
      },
    };
    const move = (ms: number): void => {
      ahead_ms += ms;
      for (const wait of [...waits].sort((a, b) => a.at - b.at)) {
        if (wait.at <= clock.now() && waits.delete(wait)) wait.call();
      }
    };
    const at = await running.another({ clock });
    const client = openForeign(at.url, await running.token("ann", "acme", 100));
    await client.next("ready");
    move(75_000);
    expect(await client.next("error")).toMatchObject({ code: "token_expired" });
    client.send({ type: "auth", token: await running.token("bob", "acme", 500) });
    expect(await client.next("error")).toMatchObject({ code: "unauthenticated" });
    client.send({ type: "auth", token: await running.token("ann", "acme", 400) });
    const { expiresIn } = await client.next("authenticated");
    expect(expiresIn).toBeGreaterThan(300);
    move(100_000);
    client.send({ type: "ping" });
    await client.next("pong");
    move(400_000);
    expect(await client.closed).toEqual({ code: 4401, reason: "token_expired" });
  });

  test("stop tells every socket and closes it with 1012", async () => {
    const at = await running.another();
    const client = await running.connect({ at });
    await at.stop(1_000);
    expect(await client.closed).toEqual({ code: 1012, reason: "shutting_down" });
    expect(client.frames.at(-1)).toMatchObject({ type: "error", code: "shutting_down" });
  });

  test("a handshake is refused without a token, and stands whatever its Connection header says", async () => {
    const response = await fetch(`${running.gateway.url}/ws/chat`, {
      headers: { connection: "close" },
    });
    expect(response.status).toBe(426);
    const refused = openForeign(running.gateway.url, "not.a.token");
    expect((await refused.closed).code).toBe(1006);
    expect(refused.frames).toEqual([]);
    // "close" makes what a late upgrade would get wrong happen every time.
    const token = await running.token();
    for (let round = 0; round < 20; round++) {
      const socket = tcp(running.gateway.port, "127.0.0.1");
      const pong = new Promise<boolean>((resolve) => {
        let heard = "";
        socket.on("data", (bytes) => {
          heard += bytes.toString("latin1");
          if (heard.includes('"ready"')) {
            // An empty masked ping; its pong is 8a 00.
            socket.write(Buffer.from([0x89, 0x80, 0, 0, 0, 0]));
            if (heard.endsWith("\x8a\x00")) resolve(true);
          }
        });
        socket.on("close", () => resolve(false));
      });
      socket.write(
        `GET /ws/chat HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: close\r\n` +
          `Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n` +
          `Authorization: Bearer ${token}\r\n\r\n`,
      );
      expect(await pong).toBe(true);
      socket.destroy();
    }
  });

  test("nothing of all this was a fault of the gateway", () => {
    expect(running.problems).toEqual([]);
  });
});
