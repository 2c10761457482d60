/** API keys: `/api/v1/api-keys`. A key is its user's; who manages keys sees and revokes everybody's. */
import { AppError } from "../../schemas/errors.ts";
import { ApiKeyList, CreateKey, NewApiKey } from "../../schemas/identity.ts";
import { workspaceRef } from "../../schemas/ids.ts";
import { PageQuery } from "../../schemas/parameters.ts";
import { type Operation, operation } from "../http/operation.ts";
import { ask, askAndEnd, userBy } from "./ask.ts";
import { permits } from "./identity.ts";
import { mint } from "./once.ts";
import { hashOfSecret, newApiKey } from "./secrets.ts";
import { pageFor } from "./workspace-page.ts";

const base = "/api/v1/api-keys";

export const operations: readonly Operation[] = [
  operation({
    id: "createApiKey",
    method: "POST",
    path: base,
    tag: "workspace",
    access: "keys.write",
    limit: "command",
    summary: "Makes an API key; it is shown this once.",
    body: CreateKey,
    answers: { 201: NewApiKey },
    refuses: ["too_many_keys"],
    async run(call) {
      const { service, who, body } = call;
      const { tenant, user } = who;
      const { name, scopes } = body;
      // A key must not make itself a wider one.
      if (who.scopes !== null && !scopes.every((scope) => who.scopes?.includes(scope))) {
        throw new AppError("forbidden", "A key makes only keys with its own scopes.");
      }
      const { members } = await service.people.workspace(tenant);
      if (!members.has(user)) {
        throw new AppError("forbidden", "Only members of the workspace have API keys.");
      }
      const { id, command, secret } = await mint(call, "api key");
      const key = newApiKey(tenant, id, secret);
      const expires = body.expiresAt ?? null;
      const data = { key: id, name, secret: hashOfSecret(key), scopes, expires };
      await ask(service, userBy(user), workspaceRef(tenant), "create-key", data, command);
      return { value: { id, name, user, scopes, expiresAt: expires, key }, sequence: 0 };
    },
  }),
  operation({
    id: "listApiKeys",
    method: "GET",
    path: base,
    tag: "workspace",
    access: "keys.write",
    limit: "read",
    summary: "One's API keys, without their secrets; everybody's for who manages them.",
    query: PageQuery,
    answers: { 200: ApiKeyList },
    refuses: ["bad_cursor", "stale"],
    async run(call) {
      const { service, who } = call;
      const page = await pageFor(call);
      const user = permits(who, "keys.manage") ? null : who.user;
      const found = await service.ports.queries.identity.apiKeys({ ...page, user });
      const items = found.items.map(({ id, name, user, scopes, expiresAt, createdAt }) => ({
        ...{ id, name, user, scopes, expiresAt, createdAt },
      }));
      return { value: { items, next: found.next }, sequence: page.minSeq };
    },
  }),
  operation({
    id: "revokeApiKey",
    method: "DELETE",
    path: `${base}/{id}`,
    tag: "workspace",
    access: "keys.write",
    limit: "command",
    summary: "Revokes an API key at once, with the sockets that it opened.",
    answers: { 204: null },
    async run({ service, who, param }) {
      const key = param("id");
      const { keys } = await service.people.workspace(who.tenant);
      const found = keys.get(key);
      const mine = found?.user === who.user || permits(who, "keys.manage");
      if (found === undefined || !mine) throw new AppError("not_found");
      await askAndEnd(service, userBy(who.user), workspaceRef(who.tenant), "revoke-key", { key });
      return { value: null, sequence: 0 };
    },
  }),
];
