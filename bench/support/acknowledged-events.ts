import { once } from "node:events";
import { WebSocket } from "ws";
import { argument } from "./forwarded-event.ts";

/** Clients that each emit an event when the one before it was acknowledged. */
export class AcknowledgedEvents {
  readonly #clients: WebSocket[];
  #count = 0;
  #isRunning = false;

  private constructor(clients: WebSocket[]) {
    this.#clients = clients;
    for (const client of clients) client.on("message", (data: Buffer) => this.#receive(client, data));
  }

  /** `authOf`: what the n-th client sends when it connects. */
  static async connect(port: number, count: number, authOf: (index: number) => object): Promise<AcknowledgedEvents> {
    const indices = Array.from({ length: count }, (_, index) => index);
    return new AcknowledgedEvents(await Promise.all(indices.map((index) => connectOne(port, authOf(index)))));
  }

  /** Resolves with the number of acknowledged events. */
  async slice(milliseconds: number): Promise<number> {
    this.#count = 0;
    this.#isRunning = true;
    for (const client of this.#clients) client.send(eventPacket);
    await new Promise((resolve) => setTimeout(resolve, milliseconds));
    this.#isRunning = false;
    return this.#count;
  }

  stop(): void {
    for (const client of this.#clients) client.terminate();
  }

  #receive(client: WebSocket, data: Buffer): void {
    if (data[0] === pingPacket) return client.send("3");
    if (!data.subarray(0, answerStart.length).equals(answerStart)) return;
    this.#count += 1;
    if (this.#isRunning) client.send(eventPacket);
  }
}

const eventPacket = `421${JSON.stringify(["say", argument])}`;
const pingPacket = 0x32;
/** Every answer must be a success. */
const answerStart = Buffer.from('431[{"length":115');

async function connectOne(port: number, auth: object): Promise<WebSocket> {
  const client = new WebSocket(`ws://127.0.0.1:${port}/socket.io/?EIO=4&transport=websocket`);
  await once(client, "message");
  client.send(`40${JSON.stringify(auth)}`);
  const [connected] = (await once(client, "message")) as [Buffer];
  if (!connected.toString().startsWith("40")) throw new Error(`refused: ${connected.toString()}`);
  return client;
}
