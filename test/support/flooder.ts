import type { IncomingMessage } from "node:http";
import { json } from "node:stream/consumers";
import { onTestFinished } from "vitest";
import { WebSocket } from "ws";

/** Somebody with a good token and no manners: Socket.IO by hand, as fast as the line takes it. */
export interface Flooder {
  /** Sends an event and counts its answer; does not wait. */
  send(event: string, argument: object): void;
  /** Answers so far: `ok`, or the code of the refusal. */
  readonly answers: ReadonlyMap<string, number>;
  /** Code of the `closing` it was told. */
  readonly closing: string | undefined;
  readonly isOpen: boolean;
  /** Resolves when all that was sent is answered, or the connection is gone. */
  settled(): Promise<void>;
  close(): void;
}

export interface FlooderOptions {
  /** Address to come from; all of 127.0.0.0/8 is this machine. */
  localAddress?: string;
  headers?: Record<string, string>;
  /** Milliseconds to wait for the answer to the handshake. */
  patienceMs?: number;
}

/** Resolves to the code where it is not let in, or to `closed` where that is all it was told. */
export function enter(url: string, token: string, options: FlooderOptions = {}): Promise<Flooder | string> {
  const { patienceMs = 60_000, ...socketOptions } = options;
  const socket = new WebSocket(`${url.replace("http", "ws")}/socket.io/?EIO=4&transport=websocket`, socketOptions);
  const flooder = new RawFlooder(socket);
  return new Promise((resolve) => {
    const timer = setTimeout(() => end("no answer"), patienceMs);
    const end = (outcome: Flooder | string): void => {
      clearTimeout(timer);
      if (typeof outcome === "string") socket.terminate();
      resolve(outcome);
    };
    socket.on("unexpected-response", (_, response) => void codeOf(response).then(end));
    socket.on("error", () => end("error"));
    socket.on("close", () => end("closed"));
    socket.on("message", (data: Buffer) => {
      const text = data.toString();
      if (text.startsWith("0{")) socket.send(`40${JSON.stringify({ token })}`);
      else if (text.startsWith("44")) end((JSON.parse(text.slice(2)) as { message: string }).message);
      else if (text.startsWith('42["ready"')) end(flooder);
      else if (text === "2") socket.send("3");
    });
  });
}

/** What is temporary is refused with the transport, in the JSON of a Socket.IO refusal. */
async function codeOf(response: IncomingMessage): Promise<string> {
  const { code } = (await json(response)) as { code?: string };
  return code ?? `status ${response.statusCode}`;
}

class RawFlooder implements Flooder {
  readonly answers = new Map<string, number>();
  closing: string | undefined;
  readonly #socket: WebSocket;
  #sent = 0;
  #answered = 0;
  #onAnswer: (() => void) | undefined;

  constructor(socket: WebSocket) {
    this.#socket = socket;
    onTestFinished(() => socket.terminate());
    socket.on("message", (data: Buffer) => this.#read(data.toString()));
    socket.on("close", () => this.#onAnswer?.());
  }

  get isOpen(): boolean {
    return this.#socket.readyState === WebSocket.OPEN;
  }

  send(event: string, argument: object): void {
    this.#sent += 1;
    this.#socket.send(`42${this.#sent}${JSON.stringify([event, argument])}`, () => undefined);
  }

  async settled(): Promise<void> {
    while (this.isOpen && this.#answered < this.#sent) {
      await new Promise<void>((resolve) => (this.#onAnswer = resolve));
    }
  }

  close(): void {
    this.#socket.close();
  }

  #read(text: string): void {
    if (text.startsWith('42["closing"'))
      this.closing = (JSON.parse(text.slice(2)) as [string, { code: string }])[1].code;
    if (!text.startsWith("43")) return;
    const [, json = ""] = /^43\d+(.*)$/s.exec(text) ?? [];
    const [answer] = JSON.parse(json) as [{ ok: boolean; error?: { code: string } }];
    const outcome = answer.ok ? "ok" : (answer.error?.code ?? "unknown");
    this.answers.set(outcome, (this.answers.get(outcome) ?? 0) + 1);
    this.#answered += 1;
    this.#onAnswer?.();
  }
}

/** Flooders are counted in thousands where somebody asks for it (`FLOODS=full`), else in hundreds. */
export const isFull = process.env["FLOODS"] === "full";

/** Begins `count` acts, so many of them at a time. */
export async function crowd<T>(count: number, atOnce: number, act: (index: number) => Promise<T>): Promise<T[]> {
  const results: T[] = [];
  let next = 0;
  const worker = async (): Promise<void> => {
    while (next < count) {
      const index = next++;
      results[index] = await act(index);
    }
  };
  await Promise.all(Array.from({ length: atOnce }, worker));
  return results;
}

/** What a token bucket lets through in a time, and a twentieth more. */
export const bound = (
  { capacity, refillPerSecond }: { capacity: number; refillPerSecond: number },
  ms: number,
): number => (capacity + (refillPerSecond * ms) / 1_000) * 1.05;

/** The samples of one metric, summed over those whose labels hold all of `labels`. */
export async function metricOf(url: string, name: string, labels: Record<string, string> = {}): Promise<number> {
  const text = await (await fetch(`${url}/metrics`)).text();
  const lines = text.split("\n").filter((line) => line.startsWith(`${name}{`) || line.startsWith(`${name} `));
  const wanted = lines.filter((line) =>
    Object.entries(labels).every(([key, value]) => line.includes(`${key}="${value}"`)),
  );
  return wanted.reduce((sum, line) => sum + Number(line.slice(line.lastIndexOf(" "))), 0);
}
