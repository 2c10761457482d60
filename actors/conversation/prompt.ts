/** What a model is given to read. */
import { limits } from "../../schemas/limits.ts";
import type { ModelMessage } from "../../schemas/models.ts";
import type { TextPort } from "../ports.ts";
import type { TurnInput } from "./turn-input.ts";

/** The texts of the path, newest first until the context is full. */
export async function readPrompt(
  texts: TextPort,
  { ref, path }: Pick<TurnInput, "ref" | "path">,
): Promise<ModelMessage[]> {
  const read = await texts.read(ref, path);
  const messages: ModelMessage[] = [];
  let room = limits.context_chars_max;
  for (let at = path.length - 1; at >= 0; at--) {
    const text = read[at] ?? "";
    room -= text.length;
    if (room < 0 && messages.length > 0) break;
    const role = path[at]?.role;
    if (text !== "" && role !== undefined) messages.unshift({ role, text });
  }
  return messages;
}
