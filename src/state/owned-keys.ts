import { GatewayError } from "../protocol/errors.ts";
import type { Cancel, Clock } from "../runtime/clock.ts";
import type { Logger } from "../runtime/logger.ts";
import { WriteBehind } from "../runtime/write-behind.ts";
import type { StateWrite } from "./state-change.ts";
import type { StateStore } from "./state-store.ts";

export interface OwnedKeysDeps {
  store: Pick<StateStore, "reclaim" | "remove">;
  /** Registers that connections of the node own keys in the channel. */
  register: (node: string, channel: string) => Promise<void>;
  /** This node's name, which changes when its lease ends. */
  incarnation: () => string;
  /** False without a lease. `rewriteAll` is called when this node has one again. */
  mayWrite: () => boolean;
  clock: Clock;
  log: Logger;
}

/** Keys that one connection owns in one channel. */
interface OwnedInChannel {
  readonly connectionId: string;
  readonly channel: string;
  /** The owner under which they are stored. */
  owner: string;
  readonly keys: Map<string, StateWrite>;
  hasEnded: boolean;
}

/** Keys that one connection may own, over all channels. */
const maxKeysPerConnection = 1_000;
const paceMs = 10;
const channelsAtOnce = 200;

/**
 * Keys that go with their connections. Each is stored under the name of its connection and of this node. If the connection
 * ends this node removes them, and if the node dies the others do. A node that was given up for dead, or whose Redis has
 * lost changes, sets them again.
 */
export class OwnedKeys {
  readonly #deps: OwnedKeysDeps;
  readonly #owned = new Map<string, OwnedInChannel>();
  readonly #byConnection = new Map<string, Set<OwnedInChannel>>();
  readonly #writes: WriteBehind;
  #cancelRenewal: Cancel | undefined;

  constructor(deps: OwnedKeysDeps) {
    this.#deps = deps;
    const write = async (names: readonly string[]): Promise<void> => {
      await Promise.all(names.map((name) => this.#write(name)));
    };
    this.#writes = new WriteBehind(
      { ...deps, write },
      { description: "keys of connections", intervalMs: paceMs, batchSize: channelsAtOnce },
    );
  }

  /** Renews the registration of the keys' channels. */
  start(renewEveryMs: number): void {
    this.#cancelRenewal = this.#deps.clock.every(renewEveryMs, () => this.rewriteAll());
  }

  stop(): Promise<void> {
    this.#cancelRenewal?.();
    return this.#writes.stop();
  }

  /** Resolves to the owner to store for the connection's keys in a channel; call `note` when they are set. */
  async ownerOf(connectionId: string, channel: string): Promise<string> {
    const { register, incarnation } = this.#deps;
    if (this.#countOf(connectionId) >= maxKeysPerConnection) this.#forgetExpired(connectionId);
    if (this.#countOf(connectionId) >= maxKeysPerConnection) throw tooMany();
    await register(incarnation(), channel);
    return this.#ownerOf(connectionId);
  }

  /** The connection set the key under this owner. Returns false if this node has another name since: set it again. */
  note(connectionId: string, channel: string, change: StateWrite, owner: string): boolean {
    this.#of(connectionId, channel).keys.set(change.key, change);
    return owner === this.#ownerOf(connectionId);
  }

  /** The key is no longer the connection's own. */
  disown(connectionId: string, channel: string, key: string): void {
    const owned = this.#owned.get(nameOf(connectionId, channel));
    if (owned?.keys.delete(key) === true) this.#forgetIfEmpty(owned);
  }

  #forgetExpired(connectionId: string): void {
    const now = this.#deps.clock.now();
    for (const owned of this.#byConnection.get(connectionId) ?? []) {
      for (const [key, { dueAt = Infinity }] of owned.keys) if (dueAt <= now) owned.keys.delete(key);
      this.#forgetIfEmpty(owned);
    }
  }

  /** A connection may set keys in any number of channels, one after the other. */
  #forgetIfEmpty(owned: OwnedInChannel): void {
    const { connectionId, channel, keys, hasEnded } = owned;
    const name = nameOf(connectionId, channel);
    if (keys.size > 0 || hasEnded || this.#owned.get(name) !== owned) return;
    this.#owned.delete(name);
    const all = this.#byConnection.get(connectionId);
    all?.delete(owned);
    if (all?.size === 0) this.#byConnection.delete(connectionId);
  }

  /** The connection has ended: removes its keys. */
  end(connectionId: string): void {
    for (const owned of this.#byConnection.get(connectionId) ?? []) {
      owned.hasEnded = true;
      this.#writes.add(nameOf(connectionId, owned.channel));
    }
    this.#byConnection.delete(connectionId);
  }

  /** Sets all keys again that are gone: this node has another name, or Redis may have lost them. */
  rewriteAll(): void {
    for (const name of this.#owned.keys()) this.#writes.add(name);
  }

  #of(connectionId: string, channel: string): OwnedInChannel {
    const name = nameOf(connectionId, channel);
    const known = this.#owned.get(name);
    if (known !== undefined) return known;
    const owned: OwnedInChannel = {
      connectionId,
      channel,
      owner: this.#ownerOf(connectionId),
      keys: new Map(),
      hasEnded: false,
    };
    this.#owned.set(name, owned);
    const all = this.#byConnection.get(connectionId) ?? new Set();
    this.#byConnection.set(connectionId, all.add(owned));
    return owned;
  }

  #countOf(connectionId: string): number {
    let count = 0;
    for (const { keys } of this.#byConnection.get(connectionId) ?? []) count += keys.size;
    return count;
  }

  #ownerOf(connectionId: string): string {
    return `${this.#deps.incarnation()}|${connectionId}`;
  }

  async #write(name: string): Promise<void> {
    const owned = this.#owned.get(name);
    if (owned?.hasEnded === true) await this.#remove(name, owned);
    else if (owned !== undefined) await this.#reclaim(owned);
  }

  async #remove(name: string, { connectionId, channel, owner, keys }: OwnedInChannel): Promise<void> {
    // Some may be stored under the node's name before, some under its present one.
    const owners = keys.size === 0 ? [] : [...new Set([owner, this.#ownerOf(connectionId)])];
    const removal = { which: "owner", keys: [...keys.keys()] } as const;
    await Promise.all(owners.map((subject) => this.#deps.store.remove(channel, { ...removal, subject })));
    this.#owned.delete(name);
  }

  async #reclaim(owned: OwnedInChannel): Promise<void> {
    const { store, register, incarnation, clock } = this.#deps;
    const changes = [...owned.keys.values()].filter(({ dueAt = Infinity }) => dueAt > clock.now());
    if (changes.length === 0) return;
    const [before, owner] = [owned.owner, this.#ownerOf(owned.connectionId)];
    await register(incarnation(), owned.channel);
    const kept = new Set(await store.reclaim(owned.channel, changes, owner, before));
    // Not before: a repeat would not find its keys under the new name, and take them for somebody else's.
    owned.owner = owner;
    for (const { key } of changes) if (!kept.has(key)) owned.keys.delete(key);
    this.#forgetIfEmpty(owned);
  }
}

const nameOf = (connectionId: string, channel: string): string => `${connectionId} ${channel}`;

const tooMany = (): GatewayError =>
  new GatewayError("payload_too_large", `A connection may own at most ${maxKeysPerConnection} keys.`, { field: "key" });
