/** Ids that are made of names: they must never change, or a tenant's workspace would be lost. */
import { expect, test } from "vitest";
import { isUuid, workspaceRef } from "../../schemas/ids.ts";

test("I10: a tenant's workspace is the UUIDv5 of its slug, and no two tenants share one", () => {
  // As Python's uuid.uuid5 makes it of the same namespace and name.
  const id = "11e3792e-4c88-50c0-8d45-4dbda3b55675";
  expect(workspaceRef("acme")).toEqual({ tenant: "acme", kind: "workspace", id });
  const slugs = ["acme", "acme-1", "a", "0", "x".repeat(63)];
  const ids = slugs.map((slug) => workspaceRef(slug).id);
  expect(new Set(ids).size).toBe(slugs.length);
  expect(ids.every(isUuid)).toBe(true);
});
