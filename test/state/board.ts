import { expect } from "vitest";
import type { StateChanges, StateSnapshot, Unsubscribed } from "../../src/protocol/wire.ts";
import { openClient, told, type Client } from "../support/gateway.ts";

export type Values = Record<string, unknown>;

/** A stock client's view of a channel's state: what its subscription was answered, then what it was told. */
export interface BoardView {
  values(): Values;
  revision(): number;
}

export const channel = "board:1";

/** A kind with state, whose clients may set it. */
export const boardFile = {
  channels: {
    board: { subscribe: "public", publish: "public", state: true },
    plain: { subscribe: "public", publish: "public" },
    read: { subscribe: "public", publish: "none", state: true },
  },
  limits: {
    messages: { capacity: 100_000, refillPerSecond: 100_000 },
    handshakes: { capacity: 100_000, refillPerSecond: 100_000 },
    ephemeral: { capacity: 100_000_000, refillPerSecond: 100_000_000 },
  },
};

/** Subscribes and follows. */
export async function follow(client: Client, name = channel): Promise<BoardView> {
  const answer = await client.emitWithAck("subscribe", { channel: name });
  expect(answer).toMatchObject({ ok: true, snapshot: { revision: expect.any(Number), entries: expect.any(Object) } });
  return viewOf(client, answer.snapshot as StateSnapshot, name, told(client, "state").length);
}

export function viewOf(client: Client, snapshot: StateSnapshot, name = channel, before = 0): BoardView {
  const changes = () =>
    told<StateChanges>(client, "state")
      .slice(before)
      .filter((each) => each.channel === name);
  return {
    values: () => replay(valuesOf(snapshot), changes()),
    revision: () => changes().at(-1)?.revision ?? snapshot.revision,
  };
}

export const valuesOf = ({ entries }: StateSnapshot): Values =>
  Object.fromEntries(Object.entries(entries).map(([key, { value }]) => [key, value]));

export function replay(start: Values, told: readonly StateChanges[]): Values {
  const values = { ...start };
  for (const { key, value } of told.flatMap(({ changes }) => changes)) {
    if (value === null) delete values[key];
    else values[key] = value;
  }
  return values;
}

export const set = (client: Client, key: string, value: unknown, more: object = {}, name = channel) =>
  client.emitWithAck("state:set", { channel: name, key, value, ...more });

/** A stock client that keeps a view of the state through cuts: it subscribes again unless it was recovered. */
export interface ReturningReader {
  readonly client: Client;
  readonly values: ReadonlyMap<string, unknown>;
  /** True once the state was received, until the connection is lost. */
  readonly isUpToDate: boolean;
  /** Times it was recovered by Socket.IO's own recovery, and times it had to subscribe. */
  readonly returns: { recovered: number; anew: number };
  /** Keys of which an older value came after a newer one; values are `{ n }` with growing numbers. */
  readonly regressions: string[];
  /** Cuts the connection; it comes back to `url`. */
  cut(url: string): void;
}

export function returningReader(url: string, token: string, name = channel): ReturningReader {
  const client = openClient(url, token, { reconnection: true, reconnectionDelay: 20, reconnectionDelayMax: 200 });
  const values = new Map<string, unknown>();
  const reader = {
    client,
    values,
    isUpToDate: false,
    returns: { recovered: 0, anew: 0 },
    regressions: [] as string[],
    cut(next: string) {
      Object.assign(client.io, { uri: next });
      client.io.engine.close();
    },
  };

  function apply(key: string, value: unknown): void {
    const [before, after] = [numberIn(values.get(key)), numberIn(value)];
    if (before !== undefined && after !== undefined && after < before)
      reader.regressions.push(`${key}: ${before}, ${after}`);
    if (value === null) values.delete(key);
    else values.set(key, value);
  }

  async function subscribe(): Promise<void> {
    const connection = client.id;
    const answer = await client
      .timeout(10_000)
      .emitWithAck("subscribe", { channel: name })
      .catch(() => undefined);
    if (client.id !== connection || !client.connected) return;
    if (answer?.ok !== true) return void setTimeout(() => void subscribe(), 100);
    const { entries } = answer.snapshot as StateSnapshot;
    for (const key of values.keys()) if (!(key in entries)) values.delete(key);
    for (const [key, { value }] of Object.entries(entries)) apply(key, value);
    reader.isUpToDate = true;
  }

  client.on("state", (told: StateChanges) => {
    if (told.channel === name) for (const { key, value } of told.changes) apply(key, value);
  });
  client.on("unsubscribed", ({ channel: taken }: Unsubscribed) => void (taken === name && subscribe()));
  client.on("disconnect", () => (reader.isUpToDate = false));
  client.on("connect_error", () => void (client.active || setTimeout(() => client.connect(), 200)));
  client.on("ready", ({ recovered }: { recovered: boolean }) => {
    reader.returns[recovered ? "recovered" : "anew"] += 1;
    if (recovered) reader.isUpToDate = true;
    else void subscribe();
  });
  return reader;
}

const numberIn = (value: unknown): number | undefined => (value as { n?: number } | null | undefined)?.n;
