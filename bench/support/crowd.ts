import { Redis } from "ioredis";
import { io, type Socket } from "socket.io-client";
import { apiKey, type House } from "./lab.ts";
import { cpuMicros } from "./machine.ts";
import { inParallel } from "./redis-cost.ts";

/** Who reads what in a house. */
export interface Case {
  title: string;
  channels: readonly string[];
  /** Channels of each reader, by node. */
  readers: readonly (readonly string[])[][];
}

export interface Figures {
  p50: number;
  p99: number;
  /** Microseconds of CPU a publication. */
  redisUs: number;
  nodesUs: number;
  /** Of all together. */
  allUs: number;
  /** Messages that a node reads, and bytes that Redis sends to all together, a publication. */
  heard: number;
  bytes: number;
}

/** Milliseconds between two publications where latency is measured: nobody is busy then. */
export const paceMs = 4;
/** With the rest about 128 bytes of JSON. */
const text = "x".repeat(100);

/** The readers of a case and their publisher, who is on the first node. */
export class Crowd {
  readonly #house: House;
  readonly #case: Case;
  /** In a slice. */
  readonly #publications: number;
  readonly #publisher: Socket;
  readonly #readers: Socket[] = [];
  readonly #redis: Redis;
  /** Of deliveries by nodes other than the publisher's, in milliseconds. */
  #latencies: number[] = [];
  #delivered = 0;
  #published = 0;

  static async gather(house: House, one: Case, publications: number): Promise<Crowd> {
    const crowd = new Crowd(house, { one, publications }, await connect(house, 0));
    for (const node of house.urls.keys()) await crowd.#seat(node);
    return crowd;
  }

  private constructor(house: House, { one, publications }: { one: Case; publications: number }, publisher: Socket) {
    this.#house = house;
    this.#case = one;
    this.#publications = publications;
    this.#publisher = publisher;
    this.#redis = new Redis(house.redis.port);
  }

  /** Paced, so that nothing waits for anything but the way. */
  async latency(): Promise<Pick<Figures, "p50" | "p99">> {
    this.#latencies = [];
    for (let sent = 0; sent < this.#publications / 8; sent += 1) {
      void this.#publish();
      await passed(paceMs);
    }
    await this.#settled();
    const sorted = this.#latencies.toSorted((a, b) => a - b);
    const at = (share: number): number => sorted[Math.floor((sorted.length - 1) * share)] as number;
    return { p50: at(0.5), p99: at(0.99) };
  }

  /** As many as keep 64 under way, so that what nodes do at rest hardly counts. */
  async cost(): Promise<Omit<Figures, "p50" | "p99">> {
    const before = await this.#counts();
    await inParallel(this.#publications, 64, () => this.#publish());
    await this.#settled();
    const after = await this.#counts();
    const each = (name: keyof typeof after): number => (after[name] - before[name]) / this.#publications;
    return {
      redisUs: each("redisUs"),
      nodesUs: each("nodesUs"),
      allUs: each("redisUs") + each("nodesUs"),
      heard: each("heard") / this.#house.urls.length,
      bytes: each("bytes"),
    };
  }

  leave(): void {
    for (const socket of [this.#publisher, ...this.#readers]) socket.disconnect();
    this.#redis.disconnect();
  }

  async #seat(node: number): Promise<void> {
    for (const channels of this.#case.readers[node] ?? []) {
      const reader = await connect(this.#house, node);
      reader.on("publication", ({ data }: { data: { at: number } }) => this.#deliver(node, data.at));
      const join = this.#house.target === "gateway" ? "subscribe" : "join";
      for (const channel of channels) await ask(reader, join, { channel });
      this.#readers.push(reader);
    }
  }

  #deliver(node: number, at: number): void {
    this.#delivered += 1;
    if (node !== 0) this.#latencies.push(performance.now() - at);
  }

  #publish(): Promise<void> {
    const { channels } = this.#case;
    const channel = channels[this.#published % channels.length];
    this.#published += 1;
    return ask(this.#publisher, "publish", { channel, event: "tick", data: { at: performance.now(), text } });
  }

  async #settled(): Promise<void> {
    const { channels, readers } = this.#case;
    const deliveries = (this.#published * readers.flat(2).length) / channels.length;
    for (let tries = 0; this.#delivered < deliveries; tries += 1) {
      if (tries === 5_000) throw new Error(`${this.#house.name}: ${deliveries - this.#delivered} were not delivered`);
      await passed(2);
    }
  }

  async #counts() {
    const stats = await this.#redis.info("stats");
    const heard = await Promise.all(this.#house.urls.map((url) => heardBy(this.#house, url)));
    return {
      redisUs: cpuMicros(this.#house.redis.pid),
      nodesUs: sum(this.#house.pids.map(cpuMicros)),
      heard: sum(heard),
      bytes: Number(/^total_net_output_bytes:(\d+)/m.exec(stats)?.[1]),
    };
  }
}

async function connect({ target, urls }: House, node: number): Promise<Socket> {
  const url = urls[node] as string;
  const auth = target === "gateway" ? { token: await signIn(url) } : {};
  const socket = io(url, { transports: ["websocket"], forceNew: true, auth });
  const event = target === "gateway" ? "ready" : "connect";
  await new Promise<void>((resolve, reject) => socket.once(event, () => resolve()).once("connect_error", reject));
  return socket;
}

let userCount = 0;
async function signIn(url: string): Promise<string> {
  const response = await fetch(`${url}/v1/sessions`, {
    method: "POST",
    headers: { authorization: `Bearer ${apiKey}`, "content-type": "application/json" },
    body: JSON.stringify({ userId: `user-${(userCount += 1)}` }),
  });
  return ((await response.json()) as { token: string }).token;
}

async function ask(socket: Socket, event: string, argument: object): Promise<void> {
  const answer = (await socket.emitWithAck(event, argument)) as { ok: boolean };
  if (!answer.ok) throw new Error(`${event}: ${JSON.stringify(answer)}`);
}

/** Messages that Redis has sent this node. */
async function heardBy({ target }: House, url: string): Promise<number> {
  if (target === "plain") return Number(await (await fetch(url)).text());
  const response = await fetch(`${url}/metrics`, { headers: { authorization: `Bearer ${apiKey}` } });
  return Number(/^gateway_feed_messages_total\S* (\d+)/m.exec(await response.text())?.[1] ?? 0);
}

const sum = (values: readonly number[]): number => values.reduce((total, value) => total + value, 0);
const passed = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));
