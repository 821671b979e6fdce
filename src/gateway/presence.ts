import { tagOfSession } from "../auth/session-id.ts";
import type { Kinds } from "../channels/kinds.ts";
import type { Permissions } from "../channels/permissions.ts";
import { createPresence, type Presence, type PresenceDeps } from "../presence/presence.ts";
import type { Connection } from "../connections/connection.ts";
import type { NodeContext } from "./core-services.ts";

export interface NodePresenceDeps {
  kinds: Kinds;
  permissions: Permissions;
  deliver: PresenceDeps["deliver"];
}

/** Presence, fed by this node's channels. */
export function createNodePresence(
  { config, store, control, clock, log }: NodeContext,
  { kinds, permissions, deliver }: NodePresenceDeps,
): Presence {
  const { commands, feed, keys } = store;
  const presence = createPresence(
    {
      commands,
      feed,
      keys,
      kinds,
      permissions,
      // A subscriber of this node is always a connection (`socket-connection.ts`).
      infoOf: (subscriber) => (subscriber as Connection).identity.info,
      deliver,
      userTagOf: tagOfSession,
      control,
      clock,
      log,
    },
    config.limits,
  );
  control.onDeadNode((node) => presence.onDead(node));
  return presence;
}
