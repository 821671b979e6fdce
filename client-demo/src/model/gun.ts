import { type ReadonlySignal, type Signal, signal } from "@preact/signals";
import { TidegateError } from "../../../src/client/client.ts";
import type { Demo } from "./demo.ts";

/** What became of the messages fired in one stretch of time. */
export interface Bin {
  /** Its number since the view began. */
  index: number;
  level: number;
  accepted: number;
  refused: number;
}

export interface Tally {
  accepted: number;
  refused: number;
  retryAfterMs: number | undefined;
  /** What went wrong that was no refusal of the limiter. */
  trouble: string | undefined;
}

/** Fires messages and keeps what became of them. */
export interface Gun {
  readonly level: ReadonlySignal<number>;
  /** The last ones, the present one at the end. */
  readonly bins: ReadonlySignal<readonly Bin[]>;
  readonly tally: ReadonlySignal<Tally>;
  /** Messages a second, fired until it is 0 again. */
  readonly pace: Signal<number>;
  fire(count: number): void;
  stop(): void;
}

export const binMs = 200;
export const mostBins = 75;
const tickMs = 50;
const target = "chat:bucket";

export function createGun({ client, bucket }: Demo): Gun {
  const level = signal(bucket.level());
  const bins = signal<readonly Bin[]>([]);
  const tally = signal<Tally>({ accepted: 0, refused: 0, retryAfterMs: undefined, trouble: undefined });
  const pace = signal(0);
  const channel = client.channel(target);
  const begun = performance.now();
  let owed = 0;
  let current: Bin = { index: 0, level: bucket.level(), accepted: 0, refused: 0 };

  async function fireOne(): Promise<void> {
    try {
      await channel.publish("shot", null);
      note({ accepted: 1 });
    } catch (error) {
      if (!(error instanceof TidegateError)) throw error;
      if (error.code === "rate_limited") refused(error.retryAfterMs ?? 0);
      else tally.value = { ...tally.value, trouble: `${error.code}: ${error.message}` };
    }
  }

  function refused(retryAfterMs: number): void {
    bucket.refused("publish", retryAfterMs);
    note({ refused: 1, retryAfterMs });
  }

  function note({ accepted = 0, refused = 0, retryAfterMs = tally.value.retryAfterMs }: Partial<Tally>): void {
    const before = tally.value;
    tally.value = {
      accepted: before.accepted + accepted,
      refused: before.refused + refused,
      retryAfterMs,
      trouble: undefined,
    };
    current = { ...current, accepted: current.accepted + accepted, refused: current.refused + refused };
  }

  function fire(count: number): void {
    for (let fired = 0; fired < count; fired += 1) void fireOne();
    show();
  }

  function show(): void {
    level.value = bucket.level();
    const index = Math.floor((performance.now() - begun) / binMs);
    const past = bins.value.filter((bin) => bin.index !== current.index && bin.index > index - mostBins);
    if (index === current.index) current = { ...current, level: level.value };
    bins.value = [...past, current];
    if (index !== current.index) current = { index, level: level.value, accepted: 0, refused: 0 };
  }

  function tick(): void {
    owed += (pace.value * tickMs) / 1_000;
    const due = Math.floor(owed);
    owed -= due;
    if (client.state === "connected") fire(due);
    else show();
  }

  const timer = setInterval(tick, tickMs);
  // Sent away for hammering: it would only be sent away again.
  const off = client.on("closing", () => (pace.value = 0));
  return {
    level,
    bins,
    tally,
    pace,
    fire,
    stop() {
      clearInterval(timer);
      off();
    },
  };
}
