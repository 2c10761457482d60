/** What every projector must be, so that its tables and positions can have a place. */
import { expect, test } from "vitest";
import { projectors } from "../../projections/projectors/all.ts";

test("the name of each projector is fit for a schema and a subject", () => {
  for (const { name } of projectors) expect(name).toMatch(/^[a-z_]+$/);
});

test("a projector of several kinds has the kind in every key", () => {
  for (const { kinds, sheets } of projectors) {
    expect(kinds.length).toBeGreaterThan(0);
    for (const { table } of sheets) {
      expect(table.key[0]).toBe("tenant");
      if (kinds.length > 1) expect(table.key[1]).toBe("kind");
    }
  }
});
