/** What workers say to each other on `worker.<id>`: whether one runs an attempt of a turn. */
import Type, { type Static } from "typebox";
import { type Kind, kinds, Tenant, Uuid } from "./ids.ts";
import { check } from "./validate.ts";

const closed = { additionalProperties: false } as const;
/** Names a question among those of whoever asks. */
const question = Type.Integer({ minimum: 1 });

export const WorkerAsk = Type.Object(
  {
    ask: question,
    from: Uuid,
    tenant: Tenant,
    kind: Type.Unsafe<Kind>({ type: "string", enum: [...kinds] }),
    id: Uuid,
    turn: Uuid,
    attempt: Type.Integer({ minimum: 1 }),
  },
  closed,
);
export type WorkerAsk = Static<typeof WorkerAsk>;
export const isWorkerAsk = check(WorkerAsk).is;

export const WorkerTold = Type.Object({ told: question, runs: Type.Boolean() }, closed);
export type WorkerTold = Static<typeof WorkerTold>;
export const isWorkerTold = check(WorkerTold).is;
