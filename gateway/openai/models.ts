/** The models that can be named, in the OpenAI wire format. */
import { AppError } from "../../schemas/errors.ts";
import type { OpenAiModel } from "../../schemas/openai.ts";
import type { Call, Shown } from "../http/call.ts";

const shown = ({ id, provider }: { id: string; provider: string }): OpenAiModel => ({
  ...{ id, object: "model", created: 0, owned_by: provider },
});

export const listModels = async ({
  service,
}: Call): Promise<Shown<{ object: "list"; data: readonly OpenAiModel[] }>> => ({
  value: { object: "list", data: service.ports.models().map(shown) },
  sequence: 0,
});

/** Throws `model_not_found`. */
export async function readModel({ service, param }: Call): Promise<Shown<OpenAiModel>> {
  const wished = param("model");
  const { models, knowsModel } = service.ports;
  const listed = models().find(({ id }) => id === wished);
  if (listed === undefined && !knowsModel(wished)) throw new AppError("model_not_found");
  const provider = models()[0]?.provider ?? "";
  return { value: shown(listed ?? { id: wished, provider }), sequence: 0 };
}
