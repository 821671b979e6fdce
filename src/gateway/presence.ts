import { tagOfSession } from "../auth/session-id.ts";
import type { Channels } from "../channels/channels.ts";
import type { Kinds } from "../channels/kinds.ts";
import type { Permissions } from "../channels/permissions.ts";
import type { Control } from "../cluster/control.ts";
import type { Config } from "../config.ts";
import { createPresence, type Presence } from "../presence/presence.ts";
import type { Clock } from "../runtime/clock.ts";
import type { Logger } from "../runtime/logger.ts";
import type { Store } from "./store.ts";

export interface NodePresenceDeps {
  store: Store;
  kinds: Kinds;
  permissions: Permissions;
  channels: () => Channels;
  control: Control;
  clock: Clock;
  log: Logger;
}

/** Presence, fed by this node's channels. */
export function createNodePresence(config: Config, { store, channels, ...deps }: NodePresenceDeps): Presence {
  return createPresence(
    {
      ...deps,
      ...store,
      deliver: (channel, packet) => channels().deliverPacket(channel, packet),
      userTagOf: tagOfSession,
    },
    config.limits,
  );
}
