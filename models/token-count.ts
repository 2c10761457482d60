/**
 * Estimates how many tokens a text is, without any model's own vocabulary: four letters of an
 * alphabet are about one token, and so is one Chinese, Japanese or Korean character. It serves
 * bills of cut streams, so it must be cheap and must never be zero for a text that is not empty.
 */

const is_wide = (unit: number): boolean => unit >= 0x2e80 && unit <= 0xffef;

/** Tokens of a text, estimated; 0 only for "". */
export function countTokens(text: string): number {
  let quarters = 0;
  for (let n = 0; n < text.length; n++) quarters += is_wide(text.charCodeAt(n)) ? 4 : 1;
  return Math.ceil(quarters / 4);
}

/** Each message costs a few tokens of framing besides its text. */
const framing_tokens = 4;

/** Tokens of a whole request, estimated. */
export const countMessages = (messages: readonly { readonly text: string }[]): number =>
  messages.reduce((sum, { text }) => sum + framing_tokens + countTokens(text), 0);
