import type { SessionEntry, SessionsRevokeAnswer } from "../protocol/wire.ts";
import type { Requests } from "./requests.ts";

/** The user's own logins. */
export interface Sessions {
  list(): Promise<SessionEntry[]>;
  revoke(sessionId: string): Promise<SessionsRevokeAnswer>;
  revokeOthers(): Promise<SessionsRevokeAnswer>;
}

export function createSessions({ request }: Requests): Sessions {
  return {
    list: async () => (await request("sessions:list", {})).sessions,
    revoke: (sessionId) => request("sessions:revoke", { sessionId }),
    revokeOthers: () => request("sessions:revoke", { others: true }),
  };
}
