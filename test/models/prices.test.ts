import { expect, test } from "vitest";
import fc from "fast-check";
import { costUsd } from "../../models/prices.ts";
import { countTokens } from "../../models/token-count.ts";

test("I12: costs are exact to the micro-dollar, rounded half up", () => {
  expect(costUsd("gpt-4o", 1_000_000, 1_000_000)).toBe("12.500000");
  expect(costUsd("gpt-4o-mini", 1, 0)).toBe("0.000000"); // 0.15
  expect(costUsd("gpt-4o-mini", 3, 0)).toBe("0.000000"); // 0.45
  expect(costUsd("gpt-4o-mini", 10, 0)).toBe("0.000002"); // 1.5 goes up
  expect(costUsd("gpt-4o-2024-08-06", 1, 0)).toBe("0.000003"); // 2.5 goes up
  expect(costUsd("openai/gpt-4o", 100, 0)).toBe("0.000250");
  expect(costUsd("gpt-4", 9_007_199_254_740_991, 0)).toBe("270215977642.229730");
});

test("I12: an unknown model costs nothing, also one named like a part of the language", () => {
  for (const name of ["llama3", "", "constructor", "__proto__"])
    expect(costUsd(name, 9, 9)).toBe("0.000000");
});

test("I12: a wrong count is never billed in silence", () => {
  expect(() => costUsd("gpt-4o", 1.5, 0)).toThrow(RangeError);
  expect(() => costUsd("gpt-4o", -1, 0)).toThrow(RangeError);
});

test("a text's tokens are never zero, and grow with the text", () => {
  expect(countTokens("")).toBe(0);
  expect(countTokens("你好世界")).toBe(4);
  fc.assert(
    fc.property(
      fc.string({ minLength: 1, unit: "binary" }),
      fc.string({ unit: "binary" }),
      (a, b) => {
        expect(countTokens(a)).toBeGreaterThan(0);
        expect(countTokens(a + b)).toBeGreaterThanOrEqual(countTokens(a));
      },
    ),
  );
});
