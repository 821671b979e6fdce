import { computed, type ReadonlySignal, signal } from "@preact/signals";
import type { ChannelState, OrderWithTimeline } from "../../../src/client/client.ts";
import { type Attempts, createAttempts, messageOf } from "./attempt.ts";
import { BackendError, callBackend } from "./backend.ts";
import type { Demo } from "./demo.ts";
import { createDriver, type Driver } from "./driver.ts";
import { eventCall } from "./order-calls.ts";
import { pause } from "./pause.ts";
import { send, type SentEvent, shuffledEvents } from "./replay.ts";
import { isMapPoint, type MapPoint } from "./order-path.ts";

/** An order as shown by the page, and actions on it. */
export interface TrackedOrder {
  readonly orderId: string;
  readonly order: ReadonlySignal<OrderWithTimeline | undefined>;
  readonly courier: ReadonlySignal<MapPoint | undefined>;
  /** The user's role in the order. */
  readonly role: ReadonlySignal<string | undefined>;
  readonly state: ReadonlySignal<ChannelState>;
  /** Why the gateway refused to show it. */
  readonly refusal: ReadonlySignal<string | undefined>;
  /** The last refused status change. */
  readonly refusedStatus: ReadonlySignal<{ sentence: string; code: string } | undefined>;
  readonly driver: Driver;
  /** Events sent by the last replay. */
  readonly sentEvents: ReadonlySignal<readonly SentEvent[]>;
  readonly attempts: Attempts;
  setStatus(apiKey: string, status: string): Promise<void>;
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
  const sent = signal<readonly SentEvent[]>([]);
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
    for (const event of shuffledEvents(live.timeline)) {
      const outcome = await send(apiKey, orderId, event);
      sent.value = [...sent.value, { ...outcome, key: sent.value.length }];
      await pause(sendEveryMs);
    }
  }

  return {
    orderId,
    order: now,
    state,
    refusal,
    refusedStatus: refusedMove,
    sentEvents: sent,
    driver,
    attempts,
    courier: computed(() => locationOf(now.value)),
    role: computed(() => roleOf(now.value, login.name)),
    setStatus: (apiKey, status) => attempts.run(() => move(apiKey, status)),
    replay: (apiKey) => attempts.run(() => replay(apiKey)),
    stop() {
      driver.stop();
      live.close();
    },
  };
}

function locationOf(now: OrderWithTimeline | undefined): MapPoint | undefined {
  const point = now?.order.signals.courier?.data;
  return isMapPoint(point) ? point : undefined;
}

function roleOf(now: OrderWithTimeline | undefined, name: string): string | undefined {
  return Object.entries(now?.order.parties ?? {}).find(([, user]) => user === name)?.[0];
}
