import type { LivePublication, Position, StateSnapshot, SubscribeAnswer, Unsubscribed } from "../protocol/wire.ts";
import { retryDelay } from "./backoff.ts";
import type { InternalClient } from "./base-client.ts";
import {
  type ChannelReader,
  createReader,
  type EmitChannelEvent,
  resultOf,
  type SubscribeResult,
} from "./channel-reader.ts";
import { type Deferred, deferred } from "./deferred.ts";
import { isPermanent, TidegateError } from "./errors.ts";
import type { ChannelItem } from "./position.ts";

type PendingSubscribe = Deferred<SubscribeResult>;

/** The reader, with what keeps it subscribed. */
export interface ChannelSubscription extends ChannelReader {
  /** Desired, or not yet unsubscribed at the node. */
  _isActive(): boolean;
  /**
   * Adds a subscribe of `user`. Resolves with the first answer, or, if it came before, with the channel's current
   * state.
   */
  _addUser(user: object, since: Position | undefined): Promise<SubscribeResult>;
  /** Undoes one `_addUser`. After the last one: resolves when the node has confirmed, or at once if disconnected. */
  _removeUser(user: object): Promise<void>;
  /** Requests the snapshot again. Every publication is still delivered, before or after it. */
  _reload(): void;
  /** Ends the subscription and rejects pending calls with `reason`. */
  _end(reason: TidegateError): void;
  /** Connected; `recovered` if Socket.IO recovered the node's subscriptions. */
  _connected(recovered: boolean): void;
  /** Socket.IO's recovery has ended; `positions` contains the node's subscriptions of this connection. */
  _recoveryEnded(positions: ReadonlyMap<string, Position>): void;
  _disconnected(): void;
  _receive(item: ChannelItem | LivePublication): void;
  _unsubscribed(event: Unsubscribed): void;
}

/** A refusal is also reported by the `unsubscribed` event. */
function createPending(): PendingSubscribe {
  const pending: PendingSubscribe = deferred();
  pending._promise.catch(() => undefined);
  return pending;
}

/** As opposed to the snapshots of built-in kinds. */
const isStateSnapshot = (snapshot: unknown): snapshot is StateSnapshot => {
  const { revision, entries } = Object(snapshot) as StateSnapshot;
  return revision >= 0 && !Array.isArray(entries);
};

/**
 * One channel's subscription across connections. The desired state and the node's state are separate, and one loop
 * reconciles them, so the order of disconnects, answers and calls does not matter. `changed` is called when the loop
 * has ended.
 */
export function createSubscription(
  channel: string,
  client: InternalClient,
  emit: EmitChannelEvent,
  changed: () => void,
): ChannelSubscription {
  /** Those who subscribed, as often as they did, so that leaving twice does not affect another user. */
  const users: object[] = [];
  let pending: PendingSubscribe | undefined;
  /** Undefined before the first answer; true also if that is unknown, after a recovery. */
  let hasSnapshot: boolean | undefined;
  /** A snapshot is to be requested for later users. */
  let pendingSnapshot: PendingSubscribe | undefined;
  /** Whether the node may have this subscription. */
  let isSubscribed = false;
  /** Whether the reader was current when the connection was lost, so that Socket.IO's recovery may continue there. */
  let canReplay = false;
  let failures = 0;
  let endDelay: (() => void) | undefined;
  let reconciliation = Promise.resolve();
  let isReconciling = false;

  const reader = createReader((event, argument) => {
    emit(event, argument);
    if (event === "snapshot") resolveSnapshot(argument as SubscribeResult);
  });

  const resolveSnapshot = (result: SubscribeResult): void => {
    pendingSnapshot?._resolve(result);
    pendingSnapshot = undefined;
  };

  const requestSnapshot = (): Promise<SubscribeResult> => {
    const { _promise } = (pendingSnapshot ??= createPending());
    void reconcile();
    return _promise;
  };

  const end = (reason: TidegateError): void => {
    const ended = pending;
    if (!ended) return;
    pending = hasSnapshot = undefined;
    users.length = 0;
    ended._reject(reason);
    pendingSnapshot?._reject(reason);
    pendingSnapshot = undefined;
    reader._begin("unsubscribed");
  };

  /** The node has refused or ended it; returns whether the client subscribes again. */
  const lose = (error: TidegateError): boolean => {
    const { code, message } = error;
    const willReturn = !isPermanent(error);
    isSubscribed = false;
    if (willReturn) reader._markBehind();
    else end(error);
    emit("unsubscribed", { code, message, willReturn });
    return willReturn;
  };

  const delayRetry = (error?: unknown): Promise<void> => {
    const [done, end] = retryDelay(failures, client._backoff, error);
    failures += 1;
    endDelay = end;
    return done;
  };

  const reconcile = (): Promise<void> => {
    failures = 0;
    endDelay?.();
    if (!isReconciling) reconciliation = reconcileUntilDone();
    return reconciliation;
  };

  const isReconciled = (): boolean => (pending ? reader._isCurrent && !pendingSnapshot : !isSubscribed);

  /** Resets `isReconciling` in the same tick in which it finds nothing to do, so that a later gap starts it again. */
  const reconcileUntilDone = async (): Promise<void> => {
    isReconciling = true;
    while (client._connection && !isReconciled()) await (pending ? subscribe(pending) : unsubscribe());
    isReconciling = false;
    changed();
  };

  const unsubscribe = async (): Promise<void> => {
    try {
      await client.request("unsubscribe", { channel });
    } catch (error) {
      if (!isPermanent(error)) return delayRetry(error);
    }
    isSubscribed = false;
  };

  const subscribe = async (mine: PendingSubscribe): Promise<void> => {
    const connection = client._connection;
    const isConnected = (): boolean => client._connection === connection;
    const isStale = (): boolean => pending !== mine || !isConnected();
    const { position, _isCurrent: wasCurrent } = reader;
    // A current reader requests the snapshot, which is only sent without a position.
    const since = wasCurrent ? undefined : position;
    try {
      const answer = await client._pace(async () => {
        if (isStale()) return undefined;
        isSubscribed = true;
        return client.request("subscribe", { channel, ...(since && { since }) });
      });
      if (!answer) return;
      if (isConnected()) {
        isSubscribed = true;
        // Changes of the keyed state follow the answer at once, whatever publications are still missing.
        if (pending === mine && isStateSnapshot(answer.snapshot)) emit("entries", answer.snapshot);
      }
      // The answer to another request than a snapshot's still counts after a disconnect; later publications are
      // requested again.
      if (wasCurrent ? !isStale() : pending === mine) await (wasCurrent ? applySnapshot : applyAnswer)(answer, isStale);
    } catch (error) {
      if (isStale()) return;
      if (isPermanent(error)) lose(error);
      else await delayRetry(error);
    }
  };

  const applyAnswer = async (answer: SubscribeAnswer, isStale: () => boolean): Promise<void> => {
    hasSnapshot ??= answer.recovered || answer.snapshot !== undefined;
    pending?._resolve(resultOf(answer));
    const isWhole = reader._applyAnswer(answer);
    if (isStale()) return;
    if (!isWhole) return delayRetry();
    failures = 0;
    reader._markCurrent();
  };

  const applySnapshot = async (answer: SubscribeAnswer): Promise<void> => {
    if (!reader._applySnapshot(answer)) return delayRetry();
    const { position } = reader;
    if (position && !answer.snapshot) resolveSnapshot({ position });
  };

  const subscription: Omit<ChannelSubscription, keyof ChannelReader> = {
    _isActive: () => pending !== undefined || isSubscribed || isReconciling,
    _addUser(user, since) {
      if (client._closedBy) return Promise.reject(client._closedBy);
      users.push(user);
      if (!pending) {
        const { _promise } = (pending = createPending());
        reader._begin("subscribing", since);
        void reconcile();
        return _promise;
      }
      if (hasSnapshot === undefined) return pending._promise;
      const { position } = reader;
      return hasSnapshot || !position ? requestSnapshot() : Promise.resolve({ position });
    },
    async _removeUser(user) {
      const index = users.indexOf(user);
      if (index >= 0) users.splice(index, 1);
      if (users.length > 0) return;
      end(new TidegateError("closed", `${channel} was unsubscribed.`));
      await reconcile();
    },
    _reload() {
      if (pending) void requestSnapshot();
    },
    _end: end,
    _connected(recovered) {
      if (!recovered) isSubscribed = false;
      else if (canReplay && pending) reader._startReplay();
      void reconcile();
    },
    _recoveryEnded(positions) {
      if (!reader._endReplay(positions.get(channel))) void reconcile();
    },
    _disconnected() {
      canReplay = reader._isCurrent;
      reader._markBehind();
    },
    _receive(item) {
      if (pending && !reader._take(item)) void reconcile();
    },
    _unsubscribed({ code, message }) {
      // All subscribers of a node lose it at the same time; the delay spreads their retries.
      if (pending && lose(new TidegateError(code, message)) && !isReconciling) void delayRetry().then(reconcile);
    },
  };
  return Object.assign(reader, subscription);
}
