import { expect, test } from "vitest";
import { readOutput } from "../../projections/pglite-output.ts";

const message = (type: string, body: string): Buffer => {
  const bytes = Buffer.alloc(5 + body.length);
  bytes.write(type, 0, "latin1");
  bytes.writeInt32BE(4 + body.length, 1);
  bytes.write(body, 5, "latin1");
  return bytes;
};

test("the state of the session is read right wherever the output is cut", () => {
  const output = Buffer.concat([
    message("1", ""),
    message("D", "a row with Z\0\0\0\u0005I and CXX001\0 in it"),
    message("E", "SERROR\0C22012\0Mdivision by zero\0\0"),
    message("Z", "E"),
    message("2", ""),
    message("Z", "I"),
  ]);
  for (let size = 1; size <= output.length; size++) {
    const reader = readOutput();
    let idle = 0;
    for (let at = 0; at < output.length; at += size) {
      reader.take(output.subarray(at, at + size));
      if (reader.idle()) idle += 1;
    }
    expect([idle, reader.idle(), reader.damaged()], `chunks of ${size}`).toEqual([1, true, false]);
    reader.take(message("E", "SERROR\0CXX001\0Minvalid page\0\0"));
    expect([reader.idle(), reader.damaged()]).toEqual([false, true]);
  }
});
