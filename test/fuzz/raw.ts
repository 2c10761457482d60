/** Bytes that are no HTTP: cut, endless, slow and wrong; only what they leave behind is looked at. */
import { connect } from "node:net";
import type { Attack } from "./http.ts";
import { oddText } from "./shapes.ts";

const heads = [
  "GET / HTTP/1.1\r\n\r\n",
  "POST /api/v1/conversations HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999999\r\n\r\n{",
  "POST /api/v1/conversations HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nffffffffff\r\n",
  "POST /api/v1/conversations HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nGET / HTTP/1.1\r\n\r\n",
  "GET /ws/chat HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Key: x\r\nSec-WebSocket-Version: 13\r\n\r\n",
  "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
  "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
];

/** Opens one connection after the other until it is over. */
export async function attackRaw({ url, random, over, tally }: Attack): Promise<void> {
  const port = Number(new URL(url).port);
  while (!over()) {
    await new Promise<void>((resolve) => {
      const socket = connect(port, "127.0.0.1");
      tally.count("raw");
      const timer = setTimeout(() => socket.destroy(), random.between(5, 2_000));
      socket.on("error", () => undefined);
      socket.on("data", () => undefined);
      socket.on("close", () => {
        clearTimeout(timer);
        resolve();
      });
      socket.on("connect", () => {
        const bytes = Buffer.from(random.pick(heads) ?? "", "latin1");
        for (let flips = random.between(0, 3); flips > 0; flips--) {
          bytes[random.between(0, bytes.length - 1)] = random.between(0, 255);
        }
        socket.write(bytes.subarray(0, random.between(1, bytes.length)));
        if (random.chance(0.3)) socket.write(oddText(random).repeat(random.between(1, 50)));
      });
    });
  }
}
