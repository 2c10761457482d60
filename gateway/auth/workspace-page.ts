/**
 * A page of what belongs to the caller's workspace, from the read models: they are waited for until they
 * show the workspace's last commit, so that whoever was just invited, or has just gone, is told so.
 */
import { workspaceRef } from "../../schemas/ids.ts";
import { type Call, limitOf } from "../http/call.ts";

export interface WorkspacePage {
  readonly tenant: string;
  readonly cursor?: string;
  readonly limit: number;
  readonly minSeq: number;
}

/** Throws `bad_request`, `unavailable`. */
export async function pageFor({ service, who, query, min_seq }: Call): Promise<WorkspacePage> {
  const limit = limitOf(query);
  const cursor = query.get("cursor");
  const last = await service.ports.log.last(workspaceRef(who.tenant));
  const minSeq = Math.max(min_seq, last?.sequence ?? 0);
  return { tenant: who.tenant, limit, minSeq, ...(cursor === null ? {} : { cursor }) };
}
