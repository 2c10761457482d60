/**
 * The descriptions are valid by the schemas of their own specifications, leave nothing out, and every
 * operation answers a real request as it is described.
 */
import asyncApiSpecs from "@asyncapi/specs";
import { Validator } from "@seriousme/openapi-schema-validator";
import { Ajv } from "ajv";
import formats from "ajv-formats";
import { beforeAll, describe, expect, test } from "vitest";
import { asyncApi } from "../../gateway/description/asyncapi.ts";
import { openApi, problemsOf } from "../../gateway/description/openapi.ts";
import type { Operation } from "../../gateway/http/operation.ts";
import { operations } from "../../gateway/http/routes.ts";
import { type ErrorCode, errors } from "../../schemas/errors.ts";
import * as http from "../../schemas/http.ts";
import { OpenAiErrorBody } from "../../schemas/openai.ts";
import { systemIds } from "../../schemas/ids.ts";
import { allows } from "../../schemas/permissions.ts";
import { serverFrames } from "../../schemas/server-frames.ts";
import { check, type Schema } from "../../schemas/validate.ts";
import { ask, register, signIn } from "./auth/door.ts";
import { type Running, startRunning } from "./running.ts";

const isSchema = (value: unknown): value is Schema => typeof value === "object" && value !== null;
const examplesOf = (schema: Schema | undefined): readonly unknown[] =>
  schema !== undefined && "examples" in schema && Array.isArray(schema.examples)
    ? schema.examples
    : [];

describe("the documents", () => {
  test("OpenAPI 3.1 takes ours, and every operation is in it", async () => {
    const document = openApi(operations);
    const validator = new Validator();
    const result = await validator.validate(structuredClone(document));
    expect(result.errors).toBeUndefined();
    expect([result.valid, validator.version]).toEqual([true, "3.1"]);
    expect(() => validator.resolveRefs()).not.toThrow();
    const ids = operations.map(({ id }) => id);
    expect(new Set(ids).size).toBe(ids.length);
    const text = JSON.stringify(document);
    expect(ids.filter((id) => !text.includes(`"operationId":"${id}"`))).toEqual([]);
    const references = [...text.matchAll(/"#\/components\/(\w+)\/(\w+)"/g)];
    // Every component is there: the resolver passes over what is not.
    for (const [, room = "", name = ""] of references) {
      expect(document["components"]).toHaveProperty([room, name]);
    }
  });

  test("AsyncAPI 3.0 takes ours", () => {
    const ajv = new Ajv({ strict: false });
    formats.default(ajv);
    const specification: object = asyncApiSpecs.schemasWithoutId["3.0.0"];
    const fits = ajv.compile(specification);
    expect([fits(asyncApi()), fits.errors]).toEqual([true, null]);
    expect(fits({ ...asyncApi(), channels: 1 })).toBe(false);
  });

  test("every example is what it is an example of", () => {
    const shown = Object.entries(http).flatMap(([name, schema]) =>
      isSchema(schema) ? examplesOf(schema).map((one) => ({ name, schema, one })) : [],
    );
    expect(shown.length).toBeGreaterThan(6);
    for (const { name, schema, one } of shown) {
      expect([name, check(schema).parse(one)]).toEqual([name, { ok: true, value: one }]);
    }
  });
});

/** Throws unless the operation's description says this of itself. */
async function asDescribed(operation: Operation, answer: Response): Promise<unknown> {
  const { id, answers, media } = operation;
  expect([id, answer.headers.get("set-cookie")]).toEqual([id, null]);
  const type = answer.headers.get("content-type") ?? "";
  const schema = answers[answer.status];
  if (schema === "stream") {
    expect([id, type]).toEqual([id, media ?? "text/event-stream"]);
    await answer.body?.cancel();
    return null;
  }
  const text = await answer.text();
  if (schema === null) {
    expect([id, text]).toEqual([id, ""]);
    return null;
  }
  if (schema === undefined && operation.tag === "openai") {
    expect([id, type]).toEqual([id, "application/json"]);
    const refusal: unknown = JSON.parse(text);
    expect([id, check(OpenAiErrorBody).parse(refusal)]).toMatchObject([id, { ok: true }]);
    return refusal;
  }
  if (schema === undefined) {
    // RFC 9457, as ours are.
    const problem = JSON.parse(text) as { code: ErrorCode };
    expect([id, type]).toEqual([id, "application/problem+json"]);
    expect([id, check(http.Problem).parse(problem)]).toMatchObject([id, { ok: true }]);
    expect([id, errors[problem.code].status]).toEqual([id, answer.status]);
    expect([id, problem.code, problemsOf(operation).has(problem.code)]).toEqual([
      ...[id, problem.code],
      true,
    ]);
    return problem;
  }
  expect([id, type]).toEqual([id, media ?? "application/json"]);
  const value: unknown = media === undefined ? JSON.parse(text) : text;
  expect([id, check(schema).parse(value)]).toEqual([id, { ok: true, value }]);
  return value;
}

describe("the operations, walked against a real gateway", () => {
  let running: Running;
  beforeAll(async () => {
    running = await startRunning();
    return () => running.stop();
  });
  const user = "walker";
  const walked = (operation: Operation, params: Readonly<Record<string, string>>): string =>
    `${running.gateway.url}${operation.path.replaceAll(
      /\{(\w+)\}/g,
      (_, name: string) => params[name] ?? systemIds(),
    )}`;
  const asking = (operation: Operation, bearer: string | null): RequestInit => {
    const example = examplesOf(operation.body)[0] ?? {};
    const sends = operation.method !== "GET" && operation.body !== undefined;
    return {
      method: operation.method,
      headers: {
        ...(bearer === null ? {} : { authorization: `Bearer ${bearer}` }),
        ...(sends ? { "content-type": "application/json" } : {}),
      },
      ...(sends ? { body: JSON.stringify(example) } : {}),
    };
  };

  test("each answers as it says, and what takes no part of its own succeeds", async () => {
    const client = await running.connect({ user });
    const id = systemIds();
    await client.ask({ type: "send", conversation: id, text: "walk with me" });
    await client.next("end");
    const list = await running.http("GET", `/api/v1/conversations/${id}/messages`, { user });
    const [question = "", answer = ""] = (list.body["items"] as { id: string }[]).map(
      (message) => message.id, // PROTOCOL.md
    );
    const token = await running.token(user, "acme", 3_600, "owner");
    const frames = client.frames.map((frame) => check(serverFrames[frame.type]).parse(frame));
    expect(frames.filter(({ ok }) => !ok)).toEqual([]);
    /** These have all they need, so they must succeed. */
    const whole =
      /^(create|list|read|update|delete)Conversation|^(list|read|post|regenerate|edit|cancel)/;
    // What removes goes last.
    const order = operations.toSorted(
      (one, other) => Number(one.method === "DELETE") - Number(other.method === "DELETE"),
    );
    for (const operation of order) {
      const message = operation.id === "editMessage" ? question : answer;
      const own = operation.path.startsWith("/api/v1/conversations");
      const params = own ? { id, message, revision: "1" } : {};
      const response = await fetch(walked(operation, params), asking(operation, token));
      await asDescribed(operation, response);
      const expected = own && whole.test(operation.id) ? Object.keys(operation.answers) : [];
      if (expected.length > 0) expect(expected, operation.id).toContain(`${response.status}`);
    }
    expect(running.problems).toEqual([]);
  });

  test("none but the public ones answers a stranger, and those never look at who asks", async () => {
    for (const operation of operations) {
      for (const bearer of [null, "clearly.not.valid"]) {
        const response = await fetch(walked(operation, {}), asking(operation, bearer));
        const value = await asDescribed(operation, response);
        const refused = response.status === 401;
        const credential = refused && value !== null;
        if (operation.access !== "public")
          expect([operation.id, refused]).toEqual([operation.id, true]);
        else if (credential) expect(operation.tag, operation.id).toBe("auth");
      }
    }
  });

  test("I10: each is refused to a role, and to a key's scopes, that lack its permission", async () => {
    await register(running.gateway, "owner@example.org");
    const { accessToken } = await signIn(running.gateway, "owner@example.org");
    const key = async (scope: "read" | "write"): Promise<string> => {
      const body = { name: `${scope}s alone`, scopes: [scope] };
      const made = await ask(running.gateway, "POST", "/api/v1/api-keys", {
        ...{ token: accessToken, body },
      });
      return String(made.body["key"]);
    };
    const callers = [
      { bearer: await running.token(user, "acme", 60, "viewer"), may: ["viewer", null] as const },
      { bearer: await key("write"), may: ["owner", ["write"]] as const },
      { bearer: await key("read"), may: ["owner", ["read"]] as const },
    ];
    for (const operation of operations) {
      const { access } = operation;
      if (access === "public") continue;
      const lacking = callers.filter(({ may: [role, scopes] }) => !allows(role, scopes, access));
      expect([operation.id, lacking.length > 0]).toEqual([operation.id, true]);
      for (const { bearer } of lacking) {
        const response = await fetch(walked(operation, {}), asking(operation, bearer));
        await asDescribed(operation, response);
        expect([operation.id, response.status]).toEqual([operation.id, 403]);
      }
    }
  });

  test("a form that an operation has not is refused before anything is done", async () => {
    const token = await running.token(user);
    for (const operation of operations) {
      if (operation.access === "public") continue;
      const streams = operation.streams ?? Object.values(operation.answers).includes("stream");
      for (const form of ["image/png", ...(streams ? [] : ["text/event-stream"])]) {
        const asked = asking(operation, token);
        const headers = new Headers(asked.headers);
        headers.set("accept", form);
        const response = await fetch(walked(operation, {}), { ...asked, headers });
        await asDescribed(operation, response);
        expect([operation.id, form, response.status]).toEqual([operation.id, form, 406]);
      }
    }
  });

  test("another method is refused, and told which there are", async () => {
    for (const path of new Set(operations.map((one) => one.path))) {
      const methods = operations.filter((one) => one.path === path).map(({ method }) => method);
      const allow = methods.flatMap((one) => (one === "GET" ? ["GET", "HEAD"] : [one])).join(", ");
      const url = `${running.gateway.url}${path.replaceAll(/\{\w+\}/g, systemIds)}`;
      const refused = await fetch(url, { method: "PROPFIND" });
      expect([path, refused.status, refused.headers.get("allow")]).toEqual([path, 405, allow]);
      await refused.text();
    }
  });
});
