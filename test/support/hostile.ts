import { connect, type Socket as TcpSocket } from "node:net";
import { onTestFinished } from "vitest";
import { WebSocket } from "ws";
import { goodToken, type Edge } from "./edge.ts";

/** How somebody who misbehaves is told so. */
export type Outcome =
  | { acknowledged: string; message: string }
  | { closing: string; message: string }
  | { connectError: string; message: string }
  | { status: number; code?: unknown }
  | { closed: number };

/** A WebSocket that speaks Engine.IO by hand, and may say anything. */
export class RawSocket {
  readonly received: string[] = [];
  readonly #socket: WebSocket;
  readonly #watchers = new Set<() => void>();
  closeCode: number | undefined;

  constructor(edge: Pick<Edge, "port">, query = "EIO=4&transport=websocket", headers: Record<string, string> = {}) {
    this.#socket = new WebSocket(`ws://127.0.0.1:${edge.port}/socket.io/?${query}`, { headers });
    this.#socket.on("open", () => this.#look());
    this.#socket.on("message", (data: Buffer) => this.#note(data.toString()));
    this.#socket.on("error", () => undefined);
    this.#socket.on("close", (code) => {
      this.closeCode = code;
      this.#look();
    });
    onTestFinished(() => this.#socket.terminate());
  }

  /** The TCP connection below, for bytes that are no WebSocket frames. */
  get tcp(): TcpSocket {
    return (this.#socket as unknown as { _socket: TcpSocket })._socket;
  }

  /** What was agreed on with the server, such as compression. */
  get extensions(): string {
    return this.#socket.extensions;
  }

  get isOpen(): boolean {
    return this.#socket.readyState === WebSocket.OPEN;
  }

  async opened(): Promise<this> {
    await this.until(() => this.received.some((text) => text.startsWith("0{")));
    return this;
  }

  async entered(auth: object = { token: goodToken }): Promise<this> {
    await this.opened();
    this.send(`40${JSON.stringify(auth)}`);
    await this.until(() => this.received.some((text) => text.startsWith('42["ready"')));
    return this;
  }

  send(...frames: (string | Buffer)[]): void {
    for (const frame of frames)
      if (this.isOpen) this.#socket.send(frame, { binary: typeof frame !== "string" }, noMatter);
  }

  /** A message in frames of its own making. */
  sendFragment(data: string, isLast: boolean): void {
    this.#socket.send(data, { fin: isLast }, noMatter);
  }

  /** Pings, and waits for the answer. */
  pinged(): Promise<void> {
    return new Promise((resolve) => {
      this.#socket.once("pong", () => resolve());
      this.#socket.ping("", undefined, noMatter);
    });
  }

  /** Reads nothing any more. */
  pause(): void {
    this.#socket.pause();
  }

  resume(): void {
    this.#socket.resume();
  }

  /** The first refusal of any kind after the first `seen` packets. */
  async outcome(seen: number): Promise<Outcome> {
    await this.until(() => this.closeCode !== undefined || this.#refusal(seen) !== undefined);
    return this.#refusal(seen) ?? { closed: this.closeCode ?? 0 };
  }

  until(isDone: () => boolean, timeoutMs = 30_000): Promise<void> {
    return new Promise((resolve, reject) => {
      const fail = (): void => reject(new Error(`waited in vain; received ${this.received.join(" ").slice(0, 500)}`));
      const timer = setTimeout(fail, timeoutMs);
      const look = (): void => {
        if (!isDone()) return;
        clearTimeout(timer);
        this.#watchers.delete(look);
        resolve();
      };
      this.#watchers.add(look);
      look();
    });
  }

  #note(text: string): void {
    if (text === "2") this.send("3");
    this.received.push(text);
    this.#look();
  }

  #look(): void {
    for (const look of this.#watchers) look();
  }

  #refusal(seen: number): Outcome | undefined {
    return this.received.slice(seen).map(refusalIn).find(Boolean);
  }
}

const noMatter = (): void => undefined;

/** What a packet says of a refusal, undefined where it says nothing of the kind. */
export function refusalIn(packet: string): Outcome | undefined {
  const [, type, json = ""] = /^4([234])(?:\/[^,]*,)?\d*(.*)$/s.exec(packet) ?? [];
  if (type === undefined) return undefined;
  const content = JSON.parse(json) as never;
  if (type === "4") return connectErrorIn(content);
  return type === "3" ? acknowledgementIn(content) : closingIn(content);
}

function connectErrorIn({ message, data }: { message: string; data?: { message: string } }): Outcome {
  return { connectError: message, message: data?.message ?? "" };
}

function acknowledgementIn([answer]: { ok: boolean; error?: { code: string; message: string } }[]):
  Outcome | undefined {
  return answer?.error && { acknowledged: answer.error.code, message: answer.error.message };
}

function closingIn([event, argument]: [string, { code: string; message: string }]): Outcome | undefined {
  return event === "closing" ? { closing: argument.code, message: argument.message } : undefined;
}

const separator = "\u001e";

/** Long polling by hand. */
export class RawPolling {
  readonly received: string[] = [];
  readonly #base: string;
  sid = "";

  constructor(edge: Pick<Edge, "url">) {
    this.#base = `${edge.url}/socket.io/?EIO=4&transport=polling`;
  }

  get url(): string {
    return `${this.#base}&sid=${this.sid}`;
  }

  async opened(): Promise<this> {
    const response = await fetch(this.#base);
    this.sid = (JSON.parse((await response.text()).slice(1)) as { sid: string }).sid;
    return this;
  }

  async entered(): Promise<this> {
    await this.opened();
    await this.post(`40${JSON.stringify({ token: goodToken })}`);
    while (!this.received.some((text) => text.startsWith('42["ready"'))) await this.poll();
    return this;
  }

  async poll(): Promise<Response> {
    const response = await fetch(this.url);
    if (response.ok) this.received.push(...(await response.clone().text()).split(separator));
    return response;
  }

  post(
    body: string | Uint8Array<ArrayBuffer>,
    headers: Record<string, string> = { "Content-Type": "text/plain;charset=UTF-8" },
  ) {
    return fetch(this.url, { method: "POST", body, headers });
  }

  /** Polls until something refuses, or the connection is over. */
  async outcome(): Promise<Outcome> {
    const seen = this.received.length;
    for (;;) {
      const { status } = await this.poll();
      const refusal = this.received.slice(seen).map(refusalIn).find(Boolean);
      if (refusal !== undefined) return refusal;
      if (status !== 200) return { status };
    }
  }
}

/**
 * What a bare TCP connection is answered until that is enough, the other side ends it, or nothing more has come for two
 * seconds.
 */
export function rawRequest(
  edge: Pick<Edge, "port">,
  text: string | Buffer,
  isEnough: (answer: string) => boolean = () => false,
): Promise<string> {
  return new Promise((resolve) => {
    let answer = "";
    const socket = connect(edge.port, "127.0.0.1", () => socket.write(text));
    const done = (): void => {
      clearTimeout(timer);
      socket.destroy();
      resolve(answer);
    };
    let timer = setTimeout(done, 30_000);
    socket.on("data", (data) => {
      clearTimeout(timer);
      timer = setTimeout(done, 2_000);
      answer += data.toString();
      if (isEnough(answer)) done();
    });
    socket.on("error", done).on("close", done);
  });
}

export const statusOf = (answer: string): number => Number(/^HTTP\/1\.1 (\d{3})/.exec(answer)?.[1] ?? 0);

/** The head of a WebSocket handshake. */
export function upgradeRequest(query: string, headers: Record<string, string> = {}): string {
  const fields = { ...upgradeFields, ...headers };
  const lines = Object.entries(fields).map(([name, value]) => `${name}: ${value}\r\n`);
  return `GET /socket.io/?${query} HTTP/1.1\r\n${lines.join("")}\r\n`;
}

const upgradeFields = {
  Host: "127.0.0.1",
  Connection: "Upgrade",
  Upgrade: "websocket",
  "Sec-WebSocket-Version": "13",
  "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
};

/** A client's frame as bytes: masked with zeros, of any length below 64 kB, whatever its head and content. */
export function frame(head: number, payload: Uint8Array | string, isMasked = true): Buffer {
  const content = Buffer.from(payload);
  const mask = isMasked ? 0x80 : 0;
  const length =
    content.length < 126 ? [mask | content.length] : [mask | 126, content.length >> 8, content.length & 0xff];
  return Buffer.concat([Buffer.from([head, ...length]), Buffer.alloc(isMasked ? 4 : 0), content]);
}
