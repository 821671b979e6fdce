import { tagOfSession } from "../auth/session-id.ts";
import type { Kinds } from "../channels/kinds.ts";
import type { Permissions } from "../channels/permissions.ts";
<<<<<<< ours
import type { Control } from "../cluster/control.ts";
import type { Config } from "../config.ts";
import { createPresence, type Presence } from "../presence/presence.ts";
import type { Clock } from "../runtime/clock.ts";
import type { Logger } from "../runtime/logger.ts";
import type { Store } from "./store.ts";
=======
import { createPresence, type Presence, type PresenceDeps } from "../presence/presence.ts";
import type { Connection } from "../connections/connection.ts";
import type { NodeContext } from "./core-services.ts";
>>>>>>> theirs

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
<<<<<<< ours
      ...deps,
      ...store,
      deliver: (channel, packet) => channels().deliverPacket(channel, packet),
=======
      commands,
      feed,
      keys,
      kinds,
      permissions,
      deliver,
      // A subscriber of this node is always a connection (`socket-connection.ts`).
      userOf: (subscriber) => (subscriber as unknown as Connection).identity.userId,
>>>>>>> theirs
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
