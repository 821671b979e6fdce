import { Redis } from "ioredis";
import { io, type Socket } from "socket.io-client";
import { apiKey, type ServerGroup } from "./server-group.ts";
import { cpuMicros } from "./machine.ts";
import { inParallel } from "./redis-cost.ts";

/** Channels and their readers. */
export interface Case {
  title: string;
  channels: readonly string[];
  /** Channels of each reader, by node. */
  readers: readonly (readonly string[])[][];
}

export interface Figures {
  p50: number;
  p99: number;
  /** Microseconds of CPU per publication. */
  redisUs: number;
  nodesUs: number;
  /** Sum of both. */
  allUs: number;
  /** Messages read by a node, and bytes sent by Redis to all clients, per publication. */
  nodeMessages: number;
  bytes: number;
}

/** Milliseconds between publications while latency is measured, so that nothing is busy. */
export const paceMs = 4;
/** Pads the data to about 128 bytes of JSON. */
const text = "x".repeat(100);

/** The readers of a case, and their publisher on the first node. */
export class CrossNodeLoad {
  readonly #group: ServerGroup;
  readonly #case: Case;
  /** Per slice. */
  readonly #publications: number;
  readonly #publisher: Socket;
  readonly #readers: Socket[] = [];
  readonly #redis: Redis;
  /** Latencies of deliveries by other nodes than the publisher's, in milliseconds. */
  #latencies: number[] = [];
  #delivered = 0;
  #published = 0;

  static async connect(group: ServerGroup, one: Case, publications: number): Promise<CrossNodeLoad> {
    const load = new CrossNodeLoad(group, { one, publications }, await connect(group, 0));
    for (const node of group.urls.keys()) await load.#connectReaders(node);
    return load;
  }

  private constructor(
    group: ServerGroup,
    { one, publications }: { one: Case; publications: number },
    publisher: Socket,
  ) {
    this.#group = group;
    this.#case = one;
    this.#publications = publications;
    this.#publisher = publisher;
    this.#redis = new Redis(group.redis.port);
  }

  /** Publishes at a low rate, so that only transport takes time. */
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

  /** Keeps 64 publications in flight, so that the cost of idle nodes hardly counts. */
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
      nodeMessages: each("nodeMessages") / this.#group.urls.length,
      bytes: each("bytes"),
    };
  }

  close(): void {
    for (const socket of [this.#publisher, ...this.#readers]) socket.disconnect();
    this.#redis.disconnect();
  }

  async #connectReaders(node: number): Promise<void> {
    for (const channels of this.#case.readers[node] ?? []) {
      const reader = await connect(this.#group, node);
      reader.on("publication", ({ data }: { data: { at: number } }) => this.#deliver(node, data.at));
      const join = this.#group.target === "gateway" ? "subscribe" : "join";
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
      if (tries === 5_000) throw new Error(`${this.#group.name}: ${deliveries - this.#delivered} were not delivered`);
      await passed(2);
    }
  }

  async #counts() {
    const stats = await this.#redis.info("stats");
    const nodeMessages = await Promise.all(this.#group.urls.map((url) => nodeMessagesOf(this.#group, url)));
    return {
      redisUs: cpuMicros(this.#group.redis.pid),
      nodesUs: sum(this.#group.pids.map(cpuMicros)),
      nodeMessages: sum(nodeMessages),
      bytes: Number(/^total_net_output_bytes:(\d+)/m.exec(stats)?.[1]),
    };
  }
}

async function connect({ target, urls }: ServerGroup, node: number): Promise<Socket> {
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

/** Messages that Redis has sent to this node. */
async function nodeMessagesOf({ target }: ServerGroup, url: string): Promise<number> {
  if (target === "plain") return Number(await (await fetch(url)).text());
  const response = await fetch(`${url}/metrics`, { headers: { authorization: `Bearer ${apiKey}` } });
  return Number(/^gateway_feed_messages_total\S* (\d+)/m.exec(await response.text())?.[1] ?? 0);
}

const sum = (values: readonly number[]): number => values.reduce((total, value) => total + value, 0);
const passed = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));
