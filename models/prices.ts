/**
 * What a call costs. Money is exact (I12): whole numbers of nano-dollars in BigInt, rounded half up
 * once, at the end, to the six decimals that are recorded. A model without a known price costs
 * "0.000000": it is then most likely one's own machine.
 */

/** US dollars for a million tokens in and out, as the providers listed them in 2025. */
const dollars_per_million: Readonly<Record<string, readonly [input: string, output: string]>> = {
  "gpt-5": ["1.25", "10"],
  "gpt-5-mini": ["0.25", "2"],
  "gpt-5-nano": ["0.05", "0.4"],
  "gpt-4.1": ["2", "8"],
  "gpt-4.1-mini": ["0.4", "1.6"],
  "gpt-4.1-nano": ["0.1", "0.4"],
  "gpt-4o": ["2.5", "10"],
  "gpt-4o-mini": ["0.15", "0.6"],
  "gpt-4-turbo": ["10", "30"],
  "gpt-4": ["30", "60"],
  "gpt-3.5-turbo": ["0.5", "1.5"],
  o1: ["15", "60"],
  o3: ["2", "8"],
  "o3-mini": ["1.1", "4.4"],
  "o4-mini": ["1.1", "4.4"],
  "claude-3-opus": ["15", "75"],
  "claude-3-sonnet": ["3", "15"],
  "claude-3-5-sonnet": ["3", "15"],
  "claude-3-haiku": ["0.25", "1.25"],
  "deepseek-chat": ["0.27", "1.1"],
  "deepseek-reasoner": ["0.55", "2.19"],
  "qwen-max": ["1.6", "6.4"],
  "qwen-plus": ["0.4", "1.2"],
  "qwen-turbo": ["0.05", "0.2"],
};

/** "2.19" dollars a million tokens are 2190 nano-dollars a token. */
function nanoPerToken(dollars: string): bigint {
  const [whole = "0", fraction = ""] = dollars.split(".");
  return BigInt(whole) * 1000n + BigInt(fraction.padEnd(3, "0").slice(0, 3));
}

/** A dated release ("gpt-4o-2024-08-06") and a routed name ("openai/gpt-4o") cost what the model does. */
function priceOf(model: string): readonly [string, string] | undefined {
  const name = model
    .slice(model.lastIndexOf("/") + 1)
    .replace(/-(\d{4}-\d\d-\d\d|\d{8}|latest)$/, "");
  return Object.hasOwn(dollars_per_million, name) ? dollars_per_million[name] : undefined;
}

/**
 * The cost of a call in US dollars, six decimals. Token counts are whole numbers ≥ 0; anything else
 * throws a RangeError, since a wrong bill must not pass in silence.
 */
export function costUsd(model: string, tokensIn: number, tokensOut: number): string {
  const price = priceOf(model);
  const [input, output] = price ?? ["0", "0"];
  const nano = BigInt(tokensIn) * nanoPerToken(input) + BigInt(tokensOut) * nanoPerToken(output);
  if (tokensIn < 0 || tokensOut < 0) throw new RangeError("token counts are not negative");
  const micro = (nano + 500n) / 1000n;
  return `${micro / 1_000_000n}.${(micro % 1_000_000n).toString().padStart(6, "0")}`;
}
