import type { Authenticator } from "../../auth/authenticator.ts";
import { authRefreshMessage } from "../../protocol/sessions.ts";
import { clientHandler, type ClientHandler } from "../client-handler.ts";
import type { Connection } from "../connection.ts";

export interface AuthHandlerDeps {
  refresh: Authenticator["refresh"];
  /** Called after the new identity was set. */
  tokenRefreshed: (connection: Connection) => void;
}

/** Client event `auth:refresh`: replaces a connection's token by a new one of the same session. */
export function createAuthHandlers({ refresh, tokenRefreshed: renewed }: AuthHandlerDeps): ClientHandler[] {
  return [
    clientHandler("auth:refresh", authRefreshMessage, async (connection, { token }) => {
      const fresh = await refresh(connection.identity, token);
      // Subscription tokens belong to the connection, and may have come and gone meanwhile.
      const { channelTokens } = connection.identity;
      connection.identity = channelTokens === undefined ? fresh : { ...fresh, channelTokens };
      renewed(connection);
      return { expiresAt: connection.identity.expiresAt };
    }),
  ];
}
