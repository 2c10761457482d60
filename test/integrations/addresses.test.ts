/** Where webhooks may go: to the public internet alone, whatever an address is written like. */
import { createSocket } from "node:dgram";
import { expect, test } from "vitest";
import { isPublicAddress, publicLookup } from "../../integrations/webhooks/addresses.ts";
import { post } from "../../integrations/webhooks/post.ts";
import { feedFilters } from "../../schemas/subjects.ts";
import { startReceiver, webhook_secret } from "./receiver.ts";

test.for([
  ["8.8.8.8", true],
  ["2606:4700::1111", true],
  ...[
    ...["127.0.0.1", "10.1.2.3", "172.31.0.1", "192.168.1.1", "169.254.169.254", "0.0.0.0"],
    ...[
      "100.64.1.1",
      "224.0.0.1",
      "255.255.255.255",
      "168.63.129.16",
      "::1",
      "::",
      "fe80::1",
      "fd00::1",
    ],
    ...["::ffff:127.0.0.1", "::ffff:a00:1", "64:ff9b::a00:1", "2002:a00:1::", "[::1]", "localhost"],
  ].map((address) => [address, false] as const),
] as const)("only public addresses are: %s: %s", ([address, open]) => {
  expect(isPublicAddress(address)).toBe(open);
});

test("no name, number or spelling of an address that is not public is posted to", async () => {
  const here = await startReceiver();
  const { port } = new URL(here.url);
  const signal = new AbortController().signal;
  const posting = { secret: webhook_secret, id: "x", body: "{}", now_ms: Date.now() };
  const hosts = [
    "127.0.0.1",
    "localhost",
    "2130706433",
    "0x7f.1",
    "0177.0.0.1",
    "[::1]",
    "[::ffff:7f00:1]",
  ];
  for (const host of hosts) {
    const url = `http://${host}:${port}/`;
    const posted = await post({ ...posting, url }, { anywhere: false, timeout_ms: 2_000, signal });
    expect(posted, host).toEqual({ ok: false, status: null, reason: "the address is not public" });
  }
  expect(here.posts).toEqual([]);
  for (const url of ["file:///etc/passwd", "ftp://acme.example/", "not a url"]) {
    const posted = await post({ ...posting, url }, { anywhere: true, timeout_ms: 2_000, signal });
    expect(posted.ok).toBe(false);
  }
  await here.close();
});

test("a name is judged by all of its addresses, and one that nobody tells is given up at a word", async () => {
  const names: Record<string, readonly string[]> = {
    "public.example": ["8.8.8.8"],
    "private.example": ["10.0.0.1"],
    "both.example": ["8.8.8.8", "127.0.0.1"],
    "nobody.example": [],
  };
  const asked: string[] = [];
  const server = createSocket("udp4", (question, from) => {
    const name = nameIn(question);
    asked.push(name);
    const found = names[name];
    if (found !== undefined) server.send(answerTo(question, found), from.port, from.address);
  });
  await new Promise<void>((resolve) => server.bind(0, "127.0.0.1", resolve));
  const look = (name: string, signal = new AbortController().signal): Promise<unknown> =>
    new Promise((resolve) =>
      publicLookup(signal, [`127.0.0.1:${server.address().port}`])(
        name,
        { all: true },
        (error, addresses) => resolve(error?.message || error?.name || addresses),
      ),
    );
  expect(await look("public.example")).toEqual([{ address: "8.8.8.8", family: 4 }]);
  for (const name of ["private.example", "both.example"]) {
    expect(await look(name)).toBe("the address is not public");
  }
  expect(await look("nobody.example")).toBe("the name has no address");
  // It would be asked for again after two seconds.
  const ending = new AbortController();
  const silent = look("silent.example", ending.signal);
  await expect.poll(() => asked).toContain("silent.example");
  const before = asked.length;
  ending.abort();
  expect(await silent).toBe("the name has no address");
  expect(asked.length).toBeLessThanOrEqual(before + 1);
  server.close();
});

/** What a question asks for: labels, each behind its length. */
function nameIn(question: Buffer): string {
  const labels: string[] = [];
  for (let at = 12, length = question[at] ?? 0; length > 0; length = question[at] ?? 0) {
    labels.push(question.toString("ascii", at + 1, at + 1 + length));
    at += 1 + length;
  }
  return labels.join(".");
}

/** These IPv4 addresses to a question for them, and none to one for others. */
function answerTo(question: Buffer, addresses: readonly string[]): Buffer {
  let end = 12;
  while ((question[end] ?? 0) > 0) end += 1 + (question[end] ?? 0);
  const records = question.readUInt16BE(end + 1) === 1 ? addresses : [];
  const head = Buffer.from(question.subarray(0, end + 5));
  head.writeUInt16BE(0x81_80, 2);
  head.writeUInt16BE(records.length, 6);
  head.writeUInt32BE(0, 8);
  const rest = records.map((address) =>
    Buffer.from([0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4, ...address.split(".").map(Number)]),
  );
  return Buffer.concat([head, ...rest]);
}

test("filters of what a webhook asks for never overlap", () => {
  expect(feedFilters("acme", ["*", "turn.*"])).toEqual(["feed.acme.*.*.*"]);
  expect(feedFilters("acme", ["turn.*", "turn.completed", "message.created", "turn.*"])).toEqual([
    "feed.acme.turn.*.*",
    "feed.acme.message.created.*",
  ]);
});
