/** Where webhooks may go: to the public internet alone, whatever an address is written like. */
import { expect, test } from "vitest";
import { isPublicAddress } from "../../integrations/webhooks/addresses.ts";
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

test("filters of what a webhook asks for never overlap", () => {
  expect(feedFilters("acme", ["*", "turn.*"])).toEqual(["feed.acme.*.*.*"]);
  expect(feedFilters("acme", ["turn.*", "turn.completed", "message.created", "turn.*"])).toEqual([
    "feed.acme.turn.*.*",
    "feed.acme.message.created.*",
  ]);
});
