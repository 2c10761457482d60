/**
 * One POST of one event, signed as Standard Webhooks says: `webhook-id`, `webhook-timestamp`, and
 * `webhook-signature: v1,<base64>` over `<id>.<timestamp>.<body>`. It follows no redirect, keeps
 * nothing of the answer but its status, and ends within its time whatever the other side does.
 */
import { createHmac } from "node:crypto";
import { request as plain } from "node:http";
import { request as secure } from "node:https";
import { isIP } from "node:net";
import { limits } from "../../schemas/limits.ts";
import { isPublicAddress, PrivateAddress, publicLookup, UnknownName } from "./addresses.ts";

export interface Posting {
  readonly url: string;
  /** `whsec_<base64>`. */
  readonly secret: string;
  /** The event's id, the same at every try. */
  readonly id: string;
  readonly body: string;
  readonly now_ms: number;
}

/** `status` is null when there was no answer; `reason` is "" when it was taken. */
export interface Posted {
  readonly ok: boolean;
  readonly status: number | null;
  readonly reason: string;
}

export interface PostOptions {
  /** Whether private and loopback addresses may be posted to. */
  readonly anywhere: boolean;
  readonly timeout_ms: number;
  readonly signal: AbortSignal;
}

/** `v1,<base64>`: what proves that we sent this body at this time. */
export function signatureOf(secret: string, id: string, timestamp: number, body: string): string {
  const key = Buffer.from(secret.replace(/^whsec_/, ""), "base64");
  const made = createHmac("sha256", key).update(`${id}.${timestamp}.${body}`).digest("base64");
  return `v1,${made}`;
}

/** Never rejects: whatever happens is told. */
export function post(
  { url: text, secret, id, body, now_ms }: Posting,
  { anywhere, timeout_ms, signal }: PostOptions,
): Promise<Posted> {
  const url = URL.canParse(text) ? new URL(text) : null;
  const host = url?.hostname.replace(/^\[|\]$/g, "") ?? "";
  if (url === null || (url.protocol !== "http:" && url.protocol !== "https:")) {
    return Promise.resolve(failed("it is not a URL of http or https"));
  }
  // An address is not looked up, so it is judged here.
  if (!anywhere && isIP(host) !== 0 && !isPublicAddress(host)) {
    return Promise.resolve(failed(new PrivateAddress().message));
  }
  const timestamp = Math.floor(now_ms / 1_000);
  const until = AbortSignal.any([signal, AbortSignal.timeout(timeout_ms)]);
  return new Promise((resolve) => {
    const request = (url.protocol === "https:" ? secure : plain)(url, {
      method: "POST",
      // A connection of its own: one that is kept was judged for another time.
      agent: false,
      signal: until,
      ...(anywhere ? {} : { lookup: publicLookup(until) }),
      headers: {
        "content-type": "application/cloudevents+json; charset=utf-8",
        "content-length": Buffer.byteLength(body),
        "user-agent": "Colloquy",
        "webhook-id": id,
        "webhook-timestamp": String(timestamp),
        "webhook-signature": signatureOf(secret, id, timestamp, body),
      },
    });
    request.on("response", (response) => {
      const status = response.statusCode ?? 0;
      const ok = status >= 200 && status < 300;
      resolve({ ok, status, reason: ok ? "" : `it answered ${status}` });
      let bytes = 0;
      response.on("data", (chunk: Buffer) => {
        bytes += chunk.length;
        if (bytes > limits.webhook_answer_bytes_max) response.destroy();
      });
      response.on("error", () => undefined);
    });
    request.on("error", (error) => {
      // Of the system's errors only their kind: their texts name addresses.
      const code = "code" in error && typeof error.code === "string" ? error.code : "";
      const late = error.name === "TimeoutError" || code === "ABORT_ERR";
      const ours = error instanceof PrivateAddress || error instanceof UnknownName;
      const why = ours ? error.message : code || "it failed";
      resolve(failed(late ? `no answer in ${timeout_ms} ms` : why));
    });
    request.end(body);
  });
}

const failed = (reason: string): Posted => ({ ok: false, status: null, reason });
