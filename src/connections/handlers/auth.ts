import type { Authenticator } from "../../auth/authenticator.ts";
import { authRefreshMessage } from "../../protocol/sessions.ts";
import { clientHandler, type ClientHandler } from "../client-handler.ts";
import type { Connection } from "../connection.ts";

export interface AuthHandlerDeps {
  refresh: Authenticator["refresh"];
  /** Called with the new identity in place: its end is another one now. */
  renewed: (connection: Connection) => void;
}

/** A connection outlives its token by bringing a fresh one of the same session. */
export function createAuthHandlers({ refresh, renewed }: AuthHandlerDeps): ClientHandler[] {
  return [
    clientHandler("auth:refresh", authRefreshMessage, async (connection, { token }) => {
      connection.identity = await refresh(connection.identity, token);
      renewed(connection);
      return { expiresAt: connection.identity.expiresAt };
    }),
  ];
}
