/**
 * The gateway's certificate: two PEM files that somebody else renews. They are judged before the server
 * sees them, so that a half-written or wrong pair never takes the place of one that works.
 */
import { X509Certificate } from "node:crypto";
import { readFileSync, statSync } from "node:fs";
import { createSecureContext } from "node:tls";
import { AppError } from "../../schemas/errors.ts";
import type { Clock } from "../../schemas/ids.ts";
import { limits } from "../../schemas/limits.ts";

/** Paths of the certificate with its chain and of its key. */
export interface CertificateFiles {
  readonly cert: string;
  readonly key: string;
}

/** Throws `unavailable` with what is wrong with them. */
export function judgeCertificate({ cert, key }: CertificateFiles, now_ms: number): void {
  let until: string;
  try {
    const pem = readFileSync(cert);
    createSecureContext({ cert: pem, key: readFileSync(key) });
    until = new X509Certificate(pem).validTo;
  } catch (cause) {
    const why = cause instanceof Error ? cause.message : "unknown";
    const detail = `The certificate ${cert} with the key ${key} cannot be used: ${why}`;
    throw new AppError("unavailable", detail, { cause });
  }
  if (Date.parse(until) <= now_ms) {
    throw new AppError("unavailable", `The certificate ${cert} has expired: ${until}`);
  }
}

/** Calls when one of the files is another than before, looked at every minute; the result ends it. */
export function followCertificate(
  files: CertificateFiles,
  clock: Clock,
  changed: () => void,
): () => void {
  // A renewal may swap a link: what it leads to is what counts, which `stat` tells.
  const look = (): string =>
    [files.cert, files.key]
      .map((path) => {
        const stat = statSync(path, { throwIfNoEntry: false });
        return stat === undefined ? "none" : `${stat.ino} ${stat.mtimeMs} ${stat.size}`;
      })
      .join(", ");
  let seen = look();
  let cancel = (): void => {};
  const next = (): void => {
    cancel = clock.after(limits.certificate_look_ms, () => {
      const now = look();
      if (now !== seen) {
        seen = now;
        changed();
      }
      next();
    });
  };
  next();
  return () => cancel();
}
