import type { Logout, Logouts } from "../../auth/logout.ts";
import type { Revocations } from "../../auth/revocations.ts";
import { closing } from "../../protocol/closings.ts";
import {
  disconnectBody,
  disconnectionAnswer,
  revocationAnswer,
  revokeTokenBody,
  userParams,
  type RevokeTokenBody,
} from "../../protocol/sessions.ts";
import { route, type Route } from "../route.ts";

export interface TokenRouteDeps {
  logouts: Pick<Logouts, "token" | "tokenId" | "tokensBefore">;
  revocations: Pick<Revocations, "disconnectUser">;
}

/** Revokes one token, or disconnects a user who may reconnect. */
export function createTokenRoutes(deps: TokenRouteDeps): Route[] {
  return [revokeToken(deps), disconnectUser(deps)];
}

function revokeToken({ logouts }: TokenRouteDeps): Route {
  const definition = {
    method: "post",
    path: "/v1/tokens/revoke",
    operationId: "revokeToken",
    tag: "Sessions",
    summary: "Revoke a token, or all older tokens of a user, and close their connections on every node.",
    body: revokeTokenBody,
    answer: revocationAnswer,
  } as const;

  return route(definition, async ({ body }) => ({ body: await revoke(logouts, body) }));
}

/** The schema allows exactly one of the three forms. */
function revoke(logouts: TokenRouteDeps["logouts"], body: RevokeTokenBody): Promise<Logout> {
  const { token, jti, expiresAt, userId, issuedBefore } = body;
  if (userId !== undefined && issuedBefore !== undefined) return logouts.tokensBefore(userId, issuedBefore);
  if (jti !== undefined && expiresAt !== undefined) return logouts.tokenId(jti, expiresAt);
  return logouts.token(token ?? "");
}

function disconnectUser({ revocations }: TokenRouteDeps): Route {
  const definition = {
    method: "post",
    path: "/v1/users/{userId}/disconnect",
    operationId: "disconnectUser",
    tag: "Sessions",
    summary: "Close a user's connections on every node; the sessions stay.",
    params: userParams,
    body: disconnectBody,
    answer: disconnectionAnswer,
  } as const;

  return route(definition, async ({ params, body = {} }) => {
    const { code = "disconnected_by_backend", ...words } = body;
    return { body: await revocations.disconnectUser(params.userId, closing(code, words)) };
  });
}
