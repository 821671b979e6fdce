import { expect, test } from "vitest";
import { createDeadCommandStore } from "../../src/commands/dead-command-store.ts";
import type { RedisClient } from "../../src/redis/connections.ts";
import type { Keys } from "../../src/redis/keys.ts";
import {
  createDeadLetters,
  type DeadLetterOutcome,
  type DeadLetterStore,
  type StoredDeadLetter,
} from "../../src/redis/queues/dead-letters.ts";
import { createDeadWebhookStore } from "../../src/webhooks/dead-webhook-store.ts";
import { createDeliveryQueueStore } from "../../src/webhooks/delivery-queue-store.ts";
import { redisWorld } from "../support/world.ts";

interface Source {
  open: (at: { commands: RedisClient; keys: Keys }) => DeadLetterStore;
  add: (at: { commands: RedisClient; keys: Keys }, n: number) => Promise<unknown>;
  /** How many were sent again. */
  sent: (at: { commands: RedisClient; keys: Keys }) => Promise<number>;
}

const sources: Record<string, Source> = {
  commands: {
    open: createDeadCommandStore,
    add: (at, n) =>
      createDeadCommandStore(at).add({ key: `${n}`, command: `{"n":${n}}`, code: "internal", reason: "", tries: 1 }),
    sent: ({ commands, keys }) => commands.xlen(keys.commands()),
  },
  webhooks: {
    open: createDeadWebhookStore,
    // Too many for a queue that may hold none.
    add: (at, n) =>
      createDeliveryQueueStore(at, { maxPerEntity: 0 }).enqueue(
        "order:7",
        { id: `m-${n}`, type: "order.status", body: "{}" },
        ["shop"],
      ),
    sent: ({ commands, keys }) => commands.llen(keys.webhookQueue("shop", "order:7")),
  },
};

type Order = (remove: () => Promise<void>, send: () => Promise<void>) => Promise<void>;

/** At which moment of a replay somebody else removes the dead letter, and who is told to have done it. */
const moments: [moment: string, order: Order, done: "replay" | "removal"][] = [
  ["before it is sent", (remove, send) => remove().then(send), "removal"],
  ["after it was sent", (remove, send) => send().then(remove), "replay"],
];

/** Dead letters, as two operators see them at the same time. */
async function startOperators({ open, add, sent }: Source, count: number) {
  const { redis, keys } = await redisWorld();
  const at = { commands: redis.connection("commands"), keys };
  for (let n = 0; n < count; n++) await add(at, n);
  const stores = [open(at), open(at)] as const;
  return { stores, operators: stores.map((store) => createDeadLetters(store)), sent: () => sent(at) };
}

test.each(Object.keys(sources))("dead letters of %s that two operators replay at once are sent once", async (of) => {
  const { operators, sent } = await startOperators(sources[of]!, 20);
  const ids = (await operators[0]!.list()).map(({ id }) => id);
  expect(ids).toHaveLength(20);

  const outcomes = await Promise.all([...operators, ...operators].map((operator) => operator.replay(ids)));

  expect(outcomes.flatMap(({ done }) => done).toSorted()).toEqual(ids.toSorted());
  expect(outcomes.flatMap(({ missing }) => missing)).toHaveLength(60);
  expect(await sent()).toBe(20);
  expect(await operators[0]!.count()).toBe(0);
});

test.each(Object.keys(sources))(
  "a dead letter of %s whose replay was cut off is neither lost nor sent twice",
  async (of) => {
    const { stores, operators, sent } = await startOperators(sources[of]!, 1);
    const [letter] = await stores[0].list({ limit: 1 });
    await stores[0].resend(letter!);
    expect(await operators[1]!.count()).toBe(1);

    expect(await operators[1]!.replay([letter!.id])).toEqual({ done: [letter!.id], missing: [] });

    expect(await sent()).toBe(1);
    expect(await operators[1]!.count()).toBe(0);
  },
);

const races = Object.keys(sources).flatMap((of) => moments.map((moment) => [of, ...moment] as const));

test.each(races)("a dead letter of %s that is removed while it is replayed, %s", async (of, _moment, order, done) => {
  const { stores, operators, sent } = await startOperators(sources[of]!, 1);
  const [{ id }] = (await operators[0]!.list()) as [StoredDeadLetter];
  let removal: DeadLetterOutcome | undefined;
  const replaying = createDeadLetters({
    ...stores[0],
    resend: (letter) =>
      order(
        async () => void (removal = await operators[1]!.remove([id])),
        () => stores[0].resend(letter),
      ),
  });

  const replay = await replaying.replay([id]);

  const [succeeded, missing] = [
    { done: [id], missing: [] },
    { done: [], missing: [id] },
  ];
  expect({ replay, removal }).toEqual({ replay: missing, removal: missing, [done]: succeeded });
  expect(await sent()).toBe(done === "replay" ? 1 : 0);
  expect(await operators[1]!.count()).toBe(0);
});

test.each(Object.keys(sources))(
  "dead letters of %s that are replayed and removed at once: as many are sent as were replayed",
  async (of) => {
    const { operators, sent } = await startOperators(sources[of]!, 20);
    const ids = (await operators[0]!.list()).map(({ id }) => id);

    const [replayed, removed] = await Promise.all([operators[0]!.replay(ids), operators[1]!.remove(ids.toReversed())]);

    expect([...replayed.done, ...removed.done].toSorted()).toEqual(ids.toSorted());
    expect(await sent()).toBe(replayed.done.length);
  },
);

test.each(Object.keys(sources))(
  "a dead letter of %s whose removal was cut off is not sent any more, and can be removed",
  async (of) => {
    const { stores, operators, sent } = await startOperators(sources[of]!, 1);
    const [{ id }] = (await operators[0]!.list()) as [StoredDeadLetter];
    await stores[0].withdraw(id);

    expect(await operators[1]!.replay([id])).toEqual({ done: [], missing: [id] });
    expect(await operators[1]!.remove([id])).toEqual({ done: [id], missing: [] });

    expect([await sent(), await operators[1]!.count()]).toEqual([0, 0]);
  },
);
