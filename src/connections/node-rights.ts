import type { RightsBroadcast, SessionRights, UserGrant } from "../auth/live-rights.ts";
import type { GrantChange, Identity } from "../auth/identity.ts";
import type { Channels } from "../channels/channels.ts";
import type { Control, ControlCommand } from "../cluster/control.ts";
import { GatewayError, isTemporary } from "../protocol/errors.ts";
import type { Presence } from "../presence/presence.ts";
import type { Clock } from "../runtime/clock.ts";
import type { Connection } from "./connection.ts";
import type { Connections } from "./connections.ts";
import type { EndedSubscriptions } from "./ended-subscriptions.ts";

/** A change of rights that every node applies to its connections. */
type RightsChange =
  { type: "rights.session"; rights: SessionRights } | ({ type: "rights.subscribe" | "rights.unsubscribe" } & SentGrant);

/** From a node of an earlier version without revisions. */
type SentGrant = Omit<UserGrant, "revisions"> & { revisions?: UserGrant["revisions"] | undefined };

/** Types of control commands that change rights. */
export const rightsChangeTypes = ["rights.session", "rights.subscribe", "rights.unsubscribe"] as const;

/** How long changes are remembered for handshakes in flight; longer than any handshake. */
const rememberMs = 60_000;
const maxRemembered = 10_000;
/** Max changes of grants that are remembered for one connection, until its rights are set as a whole. */
const maxGrantChanges = 256;

export interface NodeRightsDeps {
  connections: Connections;
  channels: Pick<Channels, "recheckPermissions" | "channelsOf" | "subscribeUnchecked" | "forceUnsubscribe">;
  members: Pick<Presence["members"], "infoChanged">;
  /** Which subscriptions do not come back with clients that are away. */
  ended: Pick<EndedSubscriptions, "add">;
  /** Forgets what an app has answered about them, so that it is asked again. */
  forgetAnswers?: ((about: { sessionId: string } | { userId: string; channel: string }) => void) | undefined;
  clock: Clock;
}

/** Rights of this node's live connections, as backends change them. */
export interface NodeRights {
  /** Applies a control command on this node; resolves with the number of connections it affected. */
  perform(command: ControlCommand, id: string): Promise<number>;
  /** A command that was sent before this node started, for clients that were away then. */
  recall(command: ControlCommand, id: string, ageMs: number): void;
  /** Calls `listener` after the identity of a connection was replaced. */
  onChanged(listener: (connection: Connection, previous: Identity) => void): void;
  /** Ends subscriptions that the connection's identity no longer allows, and shows its `info` to other members. */
  recheck(connection: Connection): Promise<void>;
  /** Call before a handshake reads from Redis. */
  mark(): number;
  /** Applies what was changed after the mark to a connection that has been registered since; undefined if nothing was. */
  applySince(mark: number, connection: Connection): Promise<void> | undefined;
}

export function createNodeRights({
  connections,
  channels,
  members,
  ended,
  forgetAnswers,
  clock,
}: NodeRightsDeps): NodeRights {
  const remembered: { sequence: number; at: number; change: RightsChange }[] = [];
  const listeners: ((connection: Connection, previous: Identity) => void)[] = [];
  let sequence = 0;

  function remember(change: RightsChange): void {
    const now = clock.monotonic();
    const firstKept = remembered.findIndex(({ at }) => now - at < rememberMs);
    const outdated = firstKept === -1 ? remembered.length : firstKept;
    remembered.splice(0, Math.max(outdated, remembered.length - maxRemembered + 1));
    remembered.push({ sequence: ++sequence, at: now, change });
  }

  /** For connections that recover. */
  function note(change: RightsChange, id: string, ageMs = 0): void {
    if (change.type === "rights.unsubscribe") ended.add(change, { id, ageMs });
  }

  function replaceIdentity(connection: Connection, identity: Identity): void {
    const previous = connection.identity;
    connection.identity = identity;
    for (const listener of listeners) listener(connection, previous);
  }

  async function apply(change: RightsChange, connection: Connection): Promise<boolean> {
    if (change.type === "rights.session") return applyRights(change.rights, connection);
    const { channel } = change;
    const identity = withGrant(connection.identity, change);
    replaceIdentity(connection, identity);
    const isGranted = identity.granted?.includes(channel) === true;
    // Something newer has been applied, which says otherwise.
    if (isGranted !== (change.type === "rights.subscribe")) return true;
    if (isGranted) await subscribe(connection, channel);
    else channels.forceUnsubscribe(connection.subscriber, channel, new GatewayError("forbidden", endedMessage));
    return true;
  }

  async function subscribe(connection: Connection, channel: string): Promise<void> {
    await channels.subscribeUnchecked(connection.subscriber, channel, { by: "gateway" });
    connection.join(channel);
  }

  /** Control commands of concurrent changes may arrive in another order than Redis applied them. */
  async function applyRights(rights: SessionRights, connection: Connection): Promise<boolean> {
    if ((connection.identity.revision ?? 0) >= rights.revision) return true;
    replaceIdentity(connection, withRights(connection.identity, rights));
    await recheck(connection);
    return true;
  }

  async function recheck(connection: Connection): Promise<void> {
    const { subscriber } = connection;
    await channels.recheckPermissions(subscriber, () => connection.identity);
    await members.infoChanged(subscriber, channels.channelsOf(subscriber));
  }

  async function applyToAll(change: RightsChange): Promise<number> {
    const affected = affectedBy(change, connections);
    const applied = await Promise.all(affected.map((connection) => apply(change, connection).catch(() => false)));
    return applied.filter(Boolean).length;
  }

  /** A change that is refused, as where another one ended it or there are too many subscriptions, refuses no connection. */
  async function applyRemembered(mark: number, connection: Connection): Promise<void> {
    for (const { change } of remembered.filter(({ sequence: at }) => at > mark)) {
      if (isAffected(change, connection.identity)) await apply(change, connection).catch(throwUnlessRefused);
    }
  }

  return {
    async perform(command, id) {
      const change = toChange(command);
      if (change === undefined) return 0;
      remember(change);
      note(change, id);
      forgetAnswers?.(change.type === "rights.session" ? { sessionId: change.rights.sessionId } : change);
      return applyToAll(change);
    },
    recall(command, id, ageMs) {
      const change = toChange(command);
      if (change !== undefined) note(change, id, ageMs);
    },
    onChanged: (listener) => void listeners.push(listener),
    recheck,
    mark: () => sequence,
    applySince: (mark, connection) => (mark === sequence ? undefined : applyRemembered(mark, connection)),
  };
}

function throwUnlessRefused(error: unknown): void {
  if (!(error instanceof GatewayError) || isTemporary(error.code)) throw error;
}

const endedMessage = "The backend ended this subscription.";

/** Sends changes to all nodes and waits until they have applied them. */
export function createRightsBroadcast(control: Pick<Control, "command">): RightsBroadcast {
  async function send(change: RightsChange) {
    const { count, nodes, acknowledged } = await control.command({ ...change });
    return { connections: count, nodes, acknowledged };
  }

  return {
    apply: (rights) => send({ type: "rights.session", rights }),
    subscribe: (grant) => send({ type: "rights.subscribe", ...grant }),
    unsubscribe: (grant) => send({ type: "rights.unsubscribe", ...grant }),
  };
}

/** With the grant, or without it; unchanged if what the identity says of the channel is newer. */
function withGrant(identity: Identity, { type, channel, revisions }: RightsChange & SentGrant): Identity {
  const change = { isGranted: type === "rights.subscribe", revision: revisions?.[identity.sessionId] ?? Infinity };
  const known = identity.grantChanges?.get(channel)?.revision ?? identity.revision ?? 0;
  if (change.revision <= known) return identity;
  const grantChanges = new Map(identity.grantChanges);
  grantChanges.delete(channel);
  for (const oldest of grantChanges.keys()) if (grantChanges.size >= maxGrantChanges) grantChanges.delete(oldest);
  if (Number.isFinite(change.revision)) grantChanges.set(channel, change);
  return { ...identity, granted: changedGrants(identity.granted, [[channel, change]]), grantChanges };
}

function changedGrants(
  granted: readonly string[] = [],
  changes: Iterable<readonly [string, GrantChange]>,
): readonly string[] {
  const changed = new Set(granted);
  for (const [channel, { isGranted }] of changes) {
    if (isGranted) changed.add(channel);
    else changed.delete(channel);
  }
  return [...changed];
}

function withRights(identity: Identity, rights: SessionRights): Identity {
  const { tokenExpiresAt = identity.expiresAt } = identity;
  const { revision, roles, channels, info, expiresAt } = rights;
  const grantChanges = new Map([...(identity.grantChanges ?? [])].filter(([, change]) => change.revision > revision));
  const granted = changedGrants(rights.granted, grantChanges);
  const endsWithSession = expiresAt <= tokenExpiresAt;
  return {
    ...identity,
    revision,
    roles,
    channels,
    granted,
    grantChanges,
    info,
    tokenExpiresAt,
    expiresAt: endsWithSession ? expiresAt : tokenExpiresAt,
    expiresBy: endsWithSession ? "session" : "token",
  };
}

const isAffected = (change: RightsChange, { sessionId, userId }: Identity): boolean =>
  change.type === "rights.session" ? change.rights.sessionId === sessionId : change.userId === userId;

const affectedBy = (change: RightsChange, connections: Connections): readonly Connection[] =>
  change.type === "rights.session" ? connections.ofSession(change.rights.sessionId) : connections.ofUser(change.userId);

/** Validated, because a node of another version may have written it. */
function toChange({ type, rights, userId, channel, revisions }: ControlCommand): RightsChange | undefined {
  if (type === "rights.session") return isRights(rights) ? { type, rights } : undefined;
  if (type !== "rights.subscribe" && type !== "rights.unsubscribe") return undefined;
  if (typeof userId !== "string" || typeof channel !== "string") return undefined;
  return { type, userId, channel, revisions: isRevisions(revisions) ? revisions : undefined };
}

const isRevisions = (value: unknown): value is UserGrant["revisions"] =>
  typeof value === "object" && value !== null && Object.values(value).every((revision) => typeof revision === "number");

function isRights(value: unknown): value is SessionRights {
  if (typeof value !== "object" || value === null) return false;
  const { sessionId, revision, roles, channels, granted, expiresAt } = value as Partial<Record<string, unknown>>;
  const hasNumbers = typeof revision === "number" && typeof expiresAt === "number";
  const hasGrants = typeof channels === "object" && channels !== null && Array.isArray(granted);
  return typeof sessionId === "string" && hasNumbers && Array.isArray(roles) && hasGrants;
}
