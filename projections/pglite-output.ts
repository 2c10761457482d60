/**
 * Reads along in what the server answers, however it is cut into chunks: whether the session is
 * idle again, and whether an error says that the files are damaged. Other messages are skipped
 * without being kept.
 */
const error_response = 0x45;
const ready_for_query = 0x5a;
const idle = 0x49;
/** Postgres's errors "data corrupted" and "index corrupted". */
const damage = new Set(["CXX001", "CXX002"]);
const header_length = 5;
/** More of one error than its first fields is not needed. */
const kept_bytes_max = 64 * 1024;

export interface OutputReader {
  take(chunk: Uint8Array): void;
  /** Whether the last whole message said that the session is idle. */
  idle(): boolean;
  /** Whether any error so far spoke of damaged files. */
  damaged(): boolean;
}

export function readOutput(): OutputReader {
  let kept = Buffer.alloc(0);
  /** Bytes of the message's body still to come; null while its header is being read. */
  let missing: number | null = null;
  let isIdle = false;
  let isDamaged = false;

  const finish = (): void => {
    const type = kept[0];
    isIdle = type === ready_for_query && kept[header_length] === idle;
    if (type === error_response) {
      const fields = kept.toString("latin1", header_length).split("\0");
      isDamaged ||= fields.some((field) => damage.has(field));
    }
    kept = Buffer.alloc(0);
    missing = null;
  };

  return {
    take(chunk) {
      for (let at = 0; at < chunk.length;) {
        const wanted: number = missing ?? header_length - kept.length;
        const part = chunk.subarray(at, at + wanted);
        at += part.length;
        const whole = missing === null || kept[0] === error_response || kept[0] === ready_for_query;
        if (whole && kept.length < kept_bytes_max) kept = Buffer.concat([kept, part]);
        if (missing !== null) missing -= part.length;
        else if (kept.length === header_length) missing = kept.readInt32BE(1) - 4;
        if (missing === 0) finish();
      }
    },
    idle: () => isIdle,
    damaged: () => isDamaged,
  };
}
