import { computed, type ReadonlySignal, signal } from "@preact/signals";
import type { ChannelState, OrderWithTimeline } from "../../../src/client/client.ts";
import { type Attempts, createAttempts, messageOf } from "./attempt.ts";
import { BackendError, callBackend } from "./backend.ts";
import type { Demo } from "./demo.ts";
import { createDriver, type Driver } from "./driver.ts";
import { eventCall } from "./order-calls.ts";
import { pause } from "./pause.ts";
import { send, type Sent, shuffledStory } from "./replay.ts";
import { isPlace, type Place } from "./road.ts";

/** One order as the page shows it, and what can be done to it. */
export interface TrackedOrder {
  readonly orderId: string;
  readonly now: ReadonlySignal<OrderWithTimeline | undefined>;
  readonly courier: ReadonlySignal<Place | undefined>;
  /** The user's part in it. */
  readonly role: ReadonlySignal<string | undefined>;
  readonly state: ReadonlySignal<ChannelState>;
  /** Why it is not shown. */
  readonly refusal: ReadonlySignal<string | undefined>;
  /** A move that was refused, as a sentence. */
  readonly refusedMove: ReadonlySignal<{ sentence: string; code: string } | undefined>;
  readonly driver: Driver;
  /** What the last replay sent. */
  readonly sent: ReadonlySignal<readonly Sent[]>;
  readonly attempts: Attempts;
  move(apiKey: string, status: string): Promise<void>;
  replay(apiKey: string): Promise<void>;
  stop(): void;
}

const sendEveryMs = 180;

export function trackOrder({ client, login }: Demo, orderId: string): TrackedOrder {
  const live = client.order(orderId);
  const now = signal<OrderWithTimeline | undefined>(undefined);
  const state = signal<ChannelState>(live.state);
  const refusal = signal<string | undefined>(undefined);
  const refusedMove = signal<{ sentence: string; code: string } | undefined>(undefined);
  const sent = signal<readonly Sent[]>([]);
  const driver = createDriver(orderId);
  const attempts = createAttempts();

  live.on("change", (order) => (now.value = order));
  live.on("state", (change) => (state.value = change.state));
  live.loaded.catch((error: unknown) => (refusal.value = messageOf(error)));

  async function move(apiKey: string, status: string): Promise<void> {
    refusedMove.value = undefined;
    try {
      await callBackend(apiKey, eventCall(orderId, { status }));
    } catch (error) {
      if (!(error instanceof BackendError) || error.status !== 409) throw error;
      refusedMove.value = { sentence: error.detail, code: `${error.status} ${error.code}` };
    }
  }

  async function replay(apiKey: string): Promise<void> {
    refusedMove.value = undefined;
    sent.value = [];
    for (const event of shuffledStory(live.timeline)) {
      const outcome = await send(apiKey, orderId, event);
      sent.value = [...sent.value, { ...outcome, key: sent.value.length }];
      await pause(sendEveryMs);
    }
  }

  return {
    orderId,
    now,
    state,
    refusal,
    refusedMove,
    sent,
    driver,
    attempts,
    courier: computed(() => placeOf(now.value)),
    role: computed(() => roleOf(now.value, login.name)),
    move: (apiKey, status) => attempts.run(() => move(apiKey, status)),
    replay: (apiKey) => attempts.run(() => replay(apiKey)),
    stop() {
      driver.park();
      live.close();
    },
  };
}

function placeOf(now: OrderWithTimeline | undefined): Place | undefined {
  const place = now?.order.signals.courier?.data;
  return isPlace(place) ? place : undefined;
}

function roleOf(now: OrderWithTimeline | undefined, name: string): string | undefined {
  return Object.entries(now?.order.parties ?? {}).find(([, user]) => user === name)?.[0];
}
