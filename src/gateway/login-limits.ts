import { requireAllowed } from "../commands/refusal.ts";
import { addressGroup } from "../runtime/address-group.ts";
import type { Throttling } from "../throttling/throttling.ts";

/** Counts a session that a backend creates. Throws like `requireAllowed`. */
export type LimitSession = (userId: string, address: string | undefined) => Promise<void>;

export const createSessionLimit =
  (throttling: Pick<Throttling, "session">): LimitSession =>
  async (userId, address) => {
    const result = await throttling.session(userId, address === undefined ? undefined : addressGroup(address));
    requireAllowed("sessions", result, "Too many sessions of this user or address.");
  };
