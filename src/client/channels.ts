import type { InternalClient } from "./base-client.ts";
import { type ChannelHandle, createChannel } from "./channel.ts";

export interface ChannelRegistry {
  _get(name: string): ChannelHandle;
  _find(name: string): ChannelHandle | undefined;
  readonly _inUse: ReadonlySet<ChannelHandle>;
  readonly _recovering: ReadonlySet<ChannelHandle>;
}

/**
 * A client's channels by name. The same name returns the same channel while it is referenced. Channels that are in use
 * (subscribed or listened to) are referenced here; others only by their users, so that a process that publishes to a
 * million channels does not keep them. Where the engine lacks that (Hermes), every channel lives as long as its client.
 */
export function createChannels(client: InternalClient, changed: () => void): ChannelRegistry {
  const byName = new Map<string, { deref(): ChannelHandle | undefined }>();
  const inUse = new Set<ChannelHandle>();
  const recovering = new Set<ChannelHandle>();
  const collected =
    typeof FinalizationRegistry === "function"
      ? new FinalizationRegistry<string>((name) => find(name) ?? byName.delete(name))
      : undefined;

  const find = (name: string): ChannelHandle | undefined => byName.get(name)?.deref();

  const add = (name: string): ChannelHandle => {
    const channel = createChannel(name, client, () => {
      inUse[channel._isInUse() ? "add" : "delete"](channel);
      recovering[channel.state === "recovering" ? "add" : "delete"](channel);
      changed();
    });
    byName.set(name, collected ? new WeakRef(channel) : { deref: () => channel });
    collected?.register(channel, name);
    return channel;
  };

  return { _get: (name) => find(name) ?? add(name), _find: find, _inUse: inUse, _recovering: recovering };
}
