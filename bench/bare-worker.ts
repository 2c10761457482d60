/** The worker of the bare loop: pulls, appends with expected sequence, answers, acknowledges. */
import { connectStreams } from "../streams/connection.ts";

const [url = "", answer_bytes = "600"] = process.argv.slice(2);
const { nc, js } = await connectStreams({ url, name: "bare" });
const bytes = Buffer.alloc(Number(answer_bytes), "x");
const consumer = await js.consumers.get("IN", "all");
await consumer.consume({
  max_messages: 1_000,
  callback(message) {
    const id = message.subject.slice("in.".length);
    const expect = { lastSubjectSequence: 0 };
    void js.publish(`out.${id}`, bytes, { expect }).then(() => {
      nc.publish(`answer.${id}`);
      message.ack();
    });
  },
});
process.stdout.write("pulling\n");
