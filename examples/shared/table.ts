import { Redis } from "ioredis";

/** Rows by id: in Redis if servers share one, else in the memory of this process. */
export interface Table<Row> {
  get(id: string): Promise<Row | undefined>;
  set(id: string, row: Row): Promise<void>;
  /** False if there was none. */
  delete(id: string): Promise<boolean>;
  /** In the order in which they were first set. */
  all(): Promise<Row[]>;
}

export function openTable<Row>(name: string): Table<Row> {
  const { REDIS_URL, KEY_PREFIX = "examples" } = process.env;
  return REDIS_URL === undefined ? inMemory() : inRedis(new Redis(REDIS_URL), `${KEY_PREFIX}:table:${name}`);
}

function inMemory<Row>(): Table<Row> {
  const rows = new Map<string, Row>();
  return {
    get: async (id) => rows.get(id),
    set: async (id, row) => void rows.set(id, row),
    delete: async (id) => rows.delete(id),
    all: async () => [...rows.values()],
  };
}

/** A stored row; its place is kept when it is set again. */
interface Stored<Row> {
  place: number;
  row: Row;
}

function inRedis<Row>(redis: Redis, key: string): Table<Row> {
  async function find(id: string): Promise<Stored<Row> | undefined> {
    const text = await redis.hget(key, id);
    return text === null ? undefined : (JSON.parse(text) as Stored<Row>);
  }
  return {
    get: async (id) => (await find(id))?.row,
    async set(id, row) {
      const place = (await find(id))?.place ?? (await redis.incr(`${key}:places`));
      await redis.hset(key, id, JSON.stringify({ place, row }));
    },
    delete: async (id) => (await redis.hdel(key, id)) === 1,
    async all() {
      const stored = (await redis.hvals(key)).map((text) => JSON.parse(text) as Stored<Row>);
      return stored.toSorted((a, b) => a.place - b.place).map(({ row }) => row);
    },
  };
}
