/** The offline answerer on a real licence text and a Chinese one: it quotes what answers, and only that. */
import { readFileSync } from "node:fs";
import { expect, test } from "vitest";
import fc from "fast-check";
import type { ModelMessage } from "../../schemas/models.ts";
import { generateBuiltin } from "../../models/builtin.ts";

const licence = readFileSync(new URL("./fixtures/licence.txt", import.meta.url), "utf8");
const rules = readFileSync(new URL("./fixtures/library-zh.txt", import.meta.url), "utf8");

async function ask(messages: readonly ModelMessage[], signal = new AbortController().signal) {
  const request = { provider: "builtin", model: "builtin-extractive", messages };
  let text = "";
  let finishes = 0;
  for await (const delta of generateBuiltin(request, signal)) {
    if (delta.type === "text") {
      expect(delta.text).not.toBe("");
      text += delta.text;
    } else {
      finishes += 1;
      expect(delta).toMatchObject({ finish: "stop", usage: { costUsd: "0.000000" } });
    }
  }
  expect(finishes).toBe(1);
  return text;
}

/** A conversation of user messages; answers the last one. */
async function talk(...texts: string[]): Promise<string> {
  const messages: ModelMessage[] = [];
  let answer = "";
  for (const text of texts) {
    messages.push({ role: "user", text });
    answer = await ask(messages);
    messages.push({ role: "assistant", text: answer });
  }
  return answer;
}

const folded = (text: string): string => text.replace(/\s+/g, "");
const quotes = (answer: string): string[] =>
  [...answer.matchAll(/^> (.+)$/gm)].map(([, line]) => line ?? "");

test.each([
  ["What is a Derivative Work?", '"Derivative Works" shall mean any work'],
  ["Can I use the trademarks?", "does not grant permission to use the trade names"],
  ["Is there any warranty?", "WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND"],
  [
    "What happens when I institute patent litigation?",
    "shall terminate as of the date such litigation is filed",
  ],
  ["May I charge a fee?", "charge a fee for, acceptance of support"],
  ["这个许可证对专利是怎么规定的？", "patent license to make, have made"],
])("a licence text answers %j", async (question, expected) => {
  for (const messages of [
    [licence, question],
    [`${licence}\n\n${question}`],
    [`${question}\n\n${licence}`],
  ]) {
    expect(await talk(...messages)).toContain(expected);
  }
});

test.each([
  ["一次能借多少本书？", "每位读者最多可同时借阅二十册图书"],
  ["周一开门吗？", "周一闭馆整理"],
  ["借书证遗失了怎么办？", "借书证遗失后应立即挂失"],
  ["逾期费是多少？", "每册每天收取逾期费一角"],
  ["When is the library open?", "周二至周日上午九点至晚上八点开放"],
])("a Chinese text answers %j, in the question's language", async (question, expected) => {
  const answer = await talk(rules, question);
  expect(answer).toContain(expected);
  expect(/^[A-Z]/.test(answer)).toBe(/^[A-Z]/.test(question));
});

test.each([
  ["Summarise it", licence],
  ["总结一下", rules],
  ["tl;dr", licence],
])(
  "%j quotes a few sentences of the text in its order, and nothing else",
  async (question, text) => {
    const lines = quotes(await talk(text, question));
    expect(lines.length).toBeGreaterThanOrEqual(2);
    expect(lines.length).toBeLessThanOrEqual(5);
    const places = lines.map((line) => folded(text).indexOf(folded(line)));
    expect(Math.min(...places)).toBeGreaterThanOrEqual(0);
    expect(places).toEqual(places.toSorted((one, other) => one - other));
  },
);

test("says once in a conversation that it is no language model, and again when it finds nothing", async () => {
  expect(await talk(`${licence}\n\nIs there any warranty?`)).toContain("OPENAI_API_KEY");
  expect(await talk(licence, "Is there any warranty?")).not.toContain("OPENAI_API_KEY");
  expect(await talk(licence, "How do I bake bread?")).toContain("OPENAI_API_KEY");
  expect(await talk("Who wrote it?")).toContain("OPENAI_API_KEY");
});

test("remembers what was said, goes on when asked for more, and does not repeat itself", async () => {
  expect(await talk("My name is Ana and I live in Lisbon.", "What is my name?")).toContain(
    "> My name is Ana",
  );
  const first = await talk(licence, "What about Derivative Works?");
  const more = await talk(licence, "What about Derivative Works?", "tell me more");
  expect(quotes(more).length).toBeGreaterThan(0);
  for (const line of quotes(more)) expect(first).not.toContain(line);
});

test.each(["hello", "你好", "thanks!", "who are you?", "😀😀", "", "asdf qwer", "```\n```", "???"])(
  "answers %j with a sentence",
  async (text) => expect((await talk(text)).length).toBeGreaterThan(3),
);

test("quotes only what stands there, whatever is pasted", async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.array(fc.lorem({ mode: "sentences" }), { minLength: 3, maxLength: 9 }),
      async (parts) => {
        const text = parts.join("\n\n");
        for (const line of quotes(await talk(text, `what about ${parts[0]?.split(" ")[0]}?`))) {
          expect(folded(text)).toContain(folded(line));
        }
      },
    ),
    { numRuns: 50 },
  );
});

test("100,000 characters leave the event loop its turns, and an abort ends the work", async () => {
  const text = licence.repeat(Math.ceil(100_000 / licence.length)).slice(0, 100_000);
  const abort = new AbortController();
  const reason = new Error("enough");
  let turns = 0;
  const working = ask([{ role: "user", text: `${text}\n\nWhat about patents?` }], abort.signal);
  const tick = (): void => {
    if (++turns === 3) abort.abort(reason);
    else setImmediate(tick);
  };
  setImmediate(tick);
  await expect(working).rejects.toBe(reason);
});

test("a question behind its text on the same line is found", async () => {
  const note = "# Notes\nA durable actor keeps its state in a log. It survives a crash.";
  expect(quotes(await talk(`${note} What survives a crash?`))).toContain("It survives a crash.");
});
