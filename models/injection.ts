/**
 * Words by which people try to talk a model out of its instructions: the five patterns of the
 * requirements, and nothing but the text decides. They are coarse, and refuse honest questions about
 * such words, too; so whoever wants the refusal switches it on. Each pattern reads a text once: none
 * repeats what another part of it could have read, so no text makes it slow.
 */
const patterns: readonly RegExp[] = [
  /ignore\s+(?:previous|all|above)\s+instructions/i,
  /you\s+are\s+now\s+a/i,
  /system\s*prompt/i,
  /jailbreak/i,
  /\[INST\]|\[SYS\]|<\|system\|>/i,
];

/** Whether a text matches one of the patterns. */
export const triesInjection = (text: string): boolean =>
  patterns.some((pattern) => pattern.test(text));
