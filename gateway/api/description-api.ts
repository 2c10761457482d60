/** The descriptions that programs read: made once of the table that serves them too. */
import { Description } from "../../schemas/http.ts";
import { asyncApi } from "../description/asyncapi.ts";
import { openApi } from "../description/openapi.ts";
import { type Operation, publicOperation } from "../http/operation.ts";

const as_json = { "Content-Type": "application/json", "Cache-Control": "no-store" };

/** `table` gives every operation, these included. */
export function describing(table: () => readonly Operation[]): readonly Operation[] {
  // Whoever asks is a stranger, so it is written down once, too.
  const once = (make: () => object): (() => Buffer) => {
    let made: Buffer | null = null;
    return () => (made ??= Buffer.from(JSON.stringify(make())));
  };
  const description = (id: string, path: `/${string}`, make: () => object): Operation => {
    const read = once(make);
    return publicOperation({
      ...({ id, path, method: "GET", tag: "service", access: "public", limit: "none" } as const),
      summary: "A description of what is offered here, for programs.",
      answers: { 200: Description },
      run: async () => ({ value: read(), sequence: 0, headers: as_json }),
    });
  };
  return [
    description("openApi", "/openapi.json", () => openApi(table())),
    description("asyncApi", "/asyncapi.json", asyncApi),
  ];
}
