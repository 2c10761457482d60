/** What a person does at a gateway, over real HTTP. */
import type { Gateway } from "../../../gateway/server.ts";

export interface Answer {
  readonly status: number;
  readonly body: Record<string, unknown>;
}

export async function ask(
  at: Gateway,
  method: string,
  path: string,
  options: { readonly token?: string; readonly body?: unknown } = {},
): Promise<Answer> {
  const response = await fetch(`${at.url}${path}`, {
    method,
    headers: {
      ...(options.token === undefined ? {} : { authorization: `Bearer ${options.token}` }),
      ...(options.body === undefined ? {} : { "content-type": "application/json" }),
    },
    ...(options.body === undefined ? {} : { body: JSON.stringify(options.body) }),
  });
  const text = await response.text();
  // Every answer of the API that has a body is an object.
  const body = (text === "" ? {} : JSON.parse(text)) as Record<string, unknown>;
  return { status: response.status, body };
}

export interface Pair {
  readonly accessToken: string;
  readonly refreshToken: string;
}

const text = (value: unknown): string => {
  if (typeof value !== "string") throw new Error(`no text: ${JSON.stringify(value)}`);
  return value;
};
export const pairOf = ({ body }: Answer): Pair => ({
  accessToken: text(body["accessToken"]),
  refreshToken: text(body["refreshToken"]),
});

export const password = "correct horse battery staple";

export const register = (at: Gateway, email: string, more: object = {}): Promise<Answer> =>
  ask(at, "POST", "/api/v1/auth/register", { body: { email, password, name: "Ann", ...more } });

export const login = (at: Gateway, email: string, more: object = {}): Promise<Answer> =>
  ask(at, "POST", "/api/v1/auth/login", { body: { email, password, ...more } });

/** Signs in with the password that `register` takes. */
export const signIn = async (at: Gateway, email: string): Promise<Pair> =>
  pairOf(await login(at, email));

/** The path of who asks. */
export const profile = "/api/v1/users/profile";
