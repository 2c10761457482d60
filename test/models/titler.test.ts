import { expect, test } from "vitest";
import fc from "fast-check";
import { extractTitle } from "../../models/titler.ts";

const paste = "Bees make honey from nectar.\n".repeat(30);

test.each([
  ["How do I bake bread?", "How do I bake bread"],
  ["Hi, how do I bake bread?", "how do I bake bread"],
  ["  **What**  is\n`JetStream`?  ", "What is JetStream"],
  ["你好，怎么做面包？", "怎么做面包"],
  [`${paste}\n\nWho makes honey?`, "Who makes honey"],
  [`Summarise this:\n\n# The life of bees\n\n${paste}`, "The life of bees"],
  [`请总结：\n\n图书馆借阅规则\n\n${"本馆免费开放。".repeat(50)}`, "图书馆借阅规则"],
  ["word ".repeat(40), "word word word word word word word word word word word word"],
  ["x".repeat(200), "x".repeat(60)],
  ["😀", "😀"],
  ["   ", "Untitled"],
])("titles %j", (text, title) => expect(extractTitle(text)).toBe(title));

test("a title is short, on one line, whole characters and never empty, whatever the text", () => {
  const text = fc.oneof(
    fc.string({ unit: "grapheme", maxLength: 300 }),
    fc.lorem({ mode: "sentences" }),
    fc.string({ unit: "binary" }),
  );
  fc.assert(
    fc.property(text, (any) => {
      const title = extractTitle(any);
      expect(title.length).toBeGreaterThan(0);
      expect(title.length).toBeLessThanOrEqual(60);
      expect(title).not.toMatch(/[\n\r\t]/);
      if (any.isWellFormed()) expect(title.isWellFormed()).toBe(true);
    }),
  );
});
