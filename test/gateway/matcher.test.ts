/** Paths to operations: literal parts first, the others decoded, and nothing that is no name. */
import { describe, expect, test } from "vitest";
import { matcher } from "../../gateway/http/matcher.ts";
import { type Method, type Operation, publicOperation } from "../../gateway/http/operation.ts";

const at = (method: Method, path: `/${string}`): Operation =>
  publicOperation({
    ...{ id: `${method} ${path}`, method, path, summary: "", tag: "service", access: "public" },
    ...{ limit: "none", answers: { 204: null }, run: async () => ({ value: null, sequence: 0 }) },
  });
const find = matcher([
  at("GET", "/a/{id}"),
  at("DELETE", "/a/{id}"),
  at("GET", "/a/mine"),
  at("POST", "/a/{id}/b/{other}"),
  at("GET", "/a/mine/c"),
]);
const found = (method: string, path: string): unknown[] => {
  const match = find(method, path);
  return match === null ? [] : [match.operation?.id, ...match.params.values()];
};

describe("matching a path", () => {
  test("a literal part wins, and a way that ends nowhere is left again", () => {
    expect(found("GET", "/a/1")).toEqual(["GET /a/{id}", "1"]);
    expect(found("GET", "/a/mine")).toEqual(["GET /a/mine"]);
    expect(found("HEAD", "/a/mine")).toEqual(["GET /a/mine"]);
    expect(found("POST", "/a/mine/b/2")).toEqual(["POST /a/{id}/b/{other}", "mine", "2"]);
    expect(find("PATCH", "/a/1")).toMatchObject({ methods: ["GET", "DELETE"] });
    for (const path of ["", "/", "/a", "/a/", "/a/1/", "/a/1/b", "/b", "//a/1", "/a/1/b/2/3"]) {
      expect(found("GET", path), path).toEqual([]);
    }
  });

  test("I11: a part is decoded once, and is no path, no control and not endless", () => {
    expect(found("GET", "/a/%C3%A9%20%2525")).toEqual(["GET /a/{id}", "é %25"]);
    for (const part of ["%2f", "..%2F..", "%00", "%0a", "%ff", "%", "%zz", "x".repeat(513)]) {
      expect(found("GET", `/a/${part}`), part).toEqual([]);
    }
    expect(found("GET", "/a".repeat(10_000))).toEqual([]);
  });

  test("an operation that is there twice stops the process at once", () => {
    expect(() => matcher([at("GET", "/a/{id}"), at("GET", "/a/{other}")])).toThrow(/there twice/);
  });
});
