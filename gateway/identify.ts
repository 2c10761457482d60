/** Who sends a request: judged by its `Authorization`. */
import { AppError } from "../schemas/errors.ts";
import { type Identity, verifyAccessToken } from "./access-token.ts";
import type { Exchange } from "./exchange.ts";
import type { Service } from "./service.ts";

/** Throws `unauthenticated`, `token_expired`. */
export async function identify(exchange: Exchange, { ports }: Service): Promise<Identity> {
  const token = /^Bearer ([^\s]+)$/i.exec(exchange.header("authorization"))?.[1];
  if (token === undefined) throw new AppError("unauthenticated");
  return verifyAccessToken(ports.secret, token, ports.clock.now());
}
