import type { Kinds } from "../channels/kinds.ts";
import type { Permissions, Reader } from "../channels/permissions.ts";
import { GatewayError } from "../protocol/errors.ts";
import type { Fence } from "../cluster/fence.ts";
import type { Roll } from "../cluster/roll.ts";
import type { Keys } from "../redis/keys.ts";
import type { ShardedFeed } from "../redis/sharded-feed.ts";
import type { Clock } from "../runtime/clock.ts";
import type { Logger } from "../runtime/logger.ts";
import { Absences } from "./absences.ts";
import type { MembersStore } from "./members-store.ts";
import type { Member } from "./mirror.ts";
import type { MirroredChannel } from "./mirrored-channel.ts";
import { Mirrors } from "./mirrors.ts";
import { OwnMembers } from "./own-members.ts";

/** Who is in a channel. `count` is the number of users even where there are more than `members` holds. */
export interface ChannelMembers {
  channel: string;
  members: Member[];
  count: number;
}

export interface MembersDeps {
  store: MembersStore;
  feed: ShardedFeed;
  keys: Keys;
  kinds: Kinds;
  permissions: Pick<Permissions, "checkSubscribe">;
  /** Writes one packet to the channel's subscribers on this node. */
  deliver: (channel: string, packet: Buffer) => void;
  incarnation: () => string;
  fence: Fence;
  roll: Roll;
  clock: Clock;
  log: Logger;
}

/** Most members an answer holds. */
const mostMembers = 1_000;
/** Milliseconds within which changes of a channel are told together. */
const tickMs = 50;

/**
 * Members of channels whose kind keeps presence.
 *
 * Whoever has been answered a `subscribe` is a member for everybody who asks from then on, on any node, and is told every
 * later change. Changes are absolute and in order: applied to what `of` answered, they give the members. Members of a
 * node that dies are gone when its lease has ended.
 */
export class Members {
  readonly #deps: MembersDeps;
  readonly #own: OwnMembers;
  readonly #absences: Absences;
  readonly #mirrors: Mirrors;
  readonly #changed = new Set<MirroredChannel>();
  #cancelTick: (() => void) | undefined;

  constructor(deps: MembersDeps) {
    this.#deps = deps;
    this.#own = new OwnMembers({ ...deps, mayWrite: () => deps.fence.isOpen });
    this.#absences = new Absences(deps.clock);
    this.#mirrors = new Mirrors({ ...deps, onChanged: (channel) => this.#onChanged(channel) });
  }

  start(): void {
    this.#own.start();
    this.#mirrors.start();
  }

  async stop(): Promise<void> {
    this.#absences.endAll();
    await this.#own.stop();
    this.#mirrors.stop();
    this.#cancelTick?.();
  }

  /** This node's members must be written again: the store may have lost them, or this node its name. */
  sayAll(): void {
    this.#own.sayAll();
  }

  /** A connection of the user subscribed to the channel, or ceased to be; `mayReturn`: it was cut off. */
  change(channel: string, userId: string, isSubscribed: boolean, mayReturn = false): void {
    if (!this.#isKept(channel)) return;
    const name = `${channel.length} ${channel} ${userId}`;
    if (isSubscribed) this.#mirrors.need(channel);
    else this.#mirrors.release(channel);
    if (!isSubscribed && mayReturn) this.#beginAbsence(name, channel, userId);
    else if (!isSubscribed) this.#own.change(channel, userId, -1);
    else if (this.#absences.comeBack(name)) this.#own.changeAbsent(channel, userId, -1);
    else this.#own.change(channel, userId, 1);
  }

  #beginAbsence(name: string, channel: string, userId: string): void {
    this.#own.changeAbsent(channel, userId, 1);
    this.#absences.begin(name, () => {
      this.#own.changeAbsent(channel, userId, -1);
      this.#own.change(channel, userId, -1);
    });
  }

  /** Resolves when what this node's subscribers are is known to all, and they are told of changes. */
  async settled(channel: string): Promise<void> {
    if (this.#isKept(channel)) await Promise.all([this.#own.said(channel), this.#mirrors.of(channel)]);
  }

  /** Throws `unknown_channel`, and `forbidden` for a kind without presence; store errors as they come. */
  async of(channel: string): Promise<ChannelMembers> {
    if (!this.#isKept(channel)) throw noPresence();
    await this.#own.said(channel);
    const [mirrored, revision] = await Promise.all([this.#mirrors.of(channel), this.#deps.store.revision(channel)]);
    await mirrored.reached(revision);
    // From here to the acknowledgement nothing may wait: a change told in between would be undone by the older answer.
    return { channel, members: mirrored.mirror.members(mostMembers), count: mirrored.mirror.count };
  }

  /** The same for a client, which must be allowed to subscribe. */
  async ofAs(reader: Reader, channel: string): Promise<ChannelMembers> {
    await this.#deps.permissions.checkSubscribe(reader, channel);
    return this.of(channel);
  }

  #isKept(channel: string): boolean {
    return this.#deps.kinds.of(channel).presence;
  }

  #onChanged(channel: MirroredChannel): void {
    this.#changed.add(channel);
    this.#cancelTick ??= this.#deps.clock.after(tickMs, () => this.#tick());
  }

  #tick(): void {
    this.#cancelTick = undefined;
    if (!this.#deps.fence.isOpen) return this.#tickLater();
    for (const channel of this.#changed) this.#tell(channel);
    this.#changed.clear();
  }

  /** A node that was away tells nobody anything before it knows who may still be told. */
  #tickLater(): void {
    this.#cancelTick = this.#deps.clock.after(tickMs, () => this.#tick());
  }

  #tell({ name, mirror }: MirroredChannel): void {
    const diff = mirror.takeDiff();
    if (diff === undefined) return;
    this.#deps.deliver(name, Buffer.from(`42${JSON.stringify(["presence", { channel: name, ...diff }])}`));
  }
}

const noPresence = (): GatewayError =>
  new GatewayError("forbidden", "Presence is not enabled for channels of this kind.", { field: "channel" });
