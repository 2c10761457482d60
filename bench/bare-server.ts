/**
 * A uWebSockets.js server that does nothing but publish, or answer: the limit that `fanout` and `http`
 * are measured beside.
 */
import { App, us_socket_local_port } from "uWebSockets.js";

const payload = JSON.stringify({
  ...{ type: "token", conversation: crypto.randomUUID(), turn: crypto.randomUUID(), attempt: 1 },
  ...{ seq: 12_345, content: `@${Date.now()} a token of an answer ` },
});
/** As long as the gateway's answer in `http`, headers included. */
const answer = JSON.stringify({ items: [], padding: "x".repeat(600) });
const app = App()
  .ws("/ws/chat", {
    maxBackpressure: 64 * 1024 * 1024,
    open: (socket) => void socket.subscribe("all"),
  })
  .get("/*", (res) => void res.end(answer));
app.listen("127.0.0.1", 0, (socket) => {
  if (socket) process.stdout.write(`listening ${us_socket_local_port(socket)}\n`);
});
process.on("message", ({ publish }: { publish: number }) => {
  for (let n = 0; n < publish; n++) app.publish("all", payload);
});
