import type { SessionEntry, SessionsRevokeAnswer } from "../protocol/wire.ts";
import type { ChannelClient } from "./channel-client.ts";

/** The user's own logins. */
export interface Sessions {
  list(): Promise<SessionEntry[]>;
  revoke(sessionId: string): Promise<SessionsRevokeAnswer>;
  revokeOthers(): Promise<SessionsRevokeAnswer>;
}

export function createSessions(client: Pick<ChannelClient, "request">): Sessions {
  return {
    list: async () => (await client.request("sessions:list", {})).sessions,
    revoke: (sessionId) => client.request("sessions:revoke", { sessionId }),
    revokeOthers: () => client.request("sessions:revoke", { others: true }),
  };
}
