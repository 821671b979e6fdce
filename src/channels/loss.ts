import { GatewayError } from "../protocol/errors.ts";
import type { Position } from "../protocol/scalars.ts";
import { startAt } from "./stored-start.ts";
import type { SubscribeBuffers } from "./subscribe-buffers.ts";
import type { Subscriber } from "./subscribers.ts";
import type { RecoveryRecords } from "./subscription.ts";
import type { Subscriptions } from "./subscriptions.ts";

export type NotifyUnsubscribed = (
  subscriber: Subscriber,
  channel: string,
  error: GatewayError,
  continues?: true,
) => void;

export interface LossDeps {
  subscriptions: Subscriptions;
  buffers: SubscribeBuffers;
  records?: Pick<RecoveryRecords, "rewrite"> | undefined;
  /** Tells a subscriber that the server ended one of its subscriptions, or with `continues` began it again. */
  notifyUnsubscribed: NotifyUnsubscribed;
  /** Ends a subscription and tells why. */
  forceUnsubscribe: (subscriber: Subscriber, channel: string, error: GatewayError) => void;
  /** Closes the connection; its client connects again, and is not recovered where publications were lost. */
  startAnew: (subscriber: Subscriber) => void;
}

/** What readers of lost publications are told. */
const lost = new GatewayError("unavailable", "Publications were lost. Subscribe again.");
const lostAndContinued = new GatewayError("unavailable", "Publications were lost. The gateway has subscribed again.");

/** What becomes of the subscriptions of a channel whose publications were lost, by who made them. */
export class Loss {
  readonly #deps: LossDeps;

  constructor(deps: LossDeps) {
    this.#deps = deps;
  }

  /** `from`: what follows this position was not lost. */
  handle(channel: string, subscribers: readonly Subscriber[], from: Position): void {
    for (const subscriber of subscribers) {
      const by = this.#deps.subscriptions.subscribedBy(subscriber, channel);
      // The client does not know of the subscription; its app makes it again when the client connects.
      if (by === "app") this.#deps.startAnew(subscriber);
      else if (by === "gateway") this.#continueFrom(from, subscriber, channel);
      else this.#deps.forceUnsubscribe(subscriber, channel, lost);
    }
  }

  /**
   * The client may not subscribe again, because it did not subscribe before. It is told behind what it is still to be sent
   * from before the loss. If it is cut off until then, it is not recovered.
   */
  #continueFrom(from: Position, subscriber: Subscriber, channel: string): void {
    const { subscriptions, buffers, records, notifyUnsubscribed } = this.#deps;
    const tell = (): void => {
      const subscription = subscriptions.get(subscriber, channel);
      if (subscription?.start?.by !== "gateway") return;
      subscription.start = startAt(from, "gateway");
      records?.rewrite(subscriber);
      notifyUnsubscribed(subscriber, channel, lostAndContinued, true);
    };
    if (!buffers.bufferAct(subscriber, channel, tell)) tell();
  }
}
