/** Times as people and programs write them, in parameters and flags. */

const pattern = /^\d{4}-\d\d-\d\d(T\d\d:\d\d(:\d\d(\.\d{1,3})?)?(Z|[+-]\d\d:\d\d))?$/;

/**
 * A day (its beginning in UTC) or a time with its zone, ISO 8601, as `Date.toISOString` writes it;
 * null for anything else: a time without a zone would mean another moment on another machine.
 */
export function timeOf(text: string): string | null {
  if (!pattern.test(text)) return null;
  const ms = Date.parse(text);
  return Number.isNaN(ms) ? null : new Date(ms).toISOString();
}
