import { once } from "node:events";
import { connect, createServer, type Server, type Socket } from "node:net";
import { freePort } from "./redis-server.ts";

export interface Target {
  host?: string;
  port: number;
}

/** A line that can fail: everything through it passes until it is told otherwise. */
export interface TcpProxy {
  readonly port: number;
  /** Resets every connection; new ones pass. */
  reset(): void;
  /** Resets every connection and refuses new ones. */
  cut(): void;
  /** Nothing passes any more, in either direction, and nobody is told; new connections are accepted. */
  silence(): void;
  /** Everything takes this much longer. */
  delay(delayMs: number): void;
  /** As at the beginning. What was held back while silent passes now. */
  heal(): Promise<void>;
  stop(): Promise<void>;
}

export interface TcpProxyOptions {
  /** In turn; one that refuses is passed over. Asked for each connection. */
  targets: () => readonly Target[];
  /** @default one that no outgoing connection is given while the line is cut */
  port?: number;
}

export async function startTcpProxy({ targets, port }: TcpProxyOptions): Promise<TcpProxy> {
  const line: Line = { isSilent: false, delayMs: 0 };
  const sockets = new Set<Socket>();
  let turn = 0;
  const ownPort = port ?? (await freePort());
  let server: Server | undefined = await listening(ownPort);

  async function listening(onPort: number): Promise<Server> {
    const opened = createServer((client) => void accept(client)).listen(onPort, "127.0.0.1");
    await once(opened, "listening");
    return opened;
  }

  async function accept(client: Socket): Promise<void> {
    own(client);
    const upstream = await firstThatAnswers(inTurn(targets(), turn++));
    if (upstream === undefined || client.destroyed) return void [client, upstream].map((socket) => socket?.destroy());
    own(upstream);
    join(client, upstream, line);
    join(upstream, client, line);
  }

  function own(socket: Socket): void {
    sockets.add(socket.setNoDelay(true));
    const forget = (): void => void sockets.delete(socket);
    // Node emits no `close` for a socket whose reset fails because its peer has ended it meanwhile.
    socket.on("error", forget).once("close", forget);
  }

  const reset = (): void => sockets.forEach((socket) => socket.resetAndDestroy());

  function cut(): void {
    server?.close();
    server = undefined;
    reset();
  }

  return {
    port: ownPort,
    reset,
    cut,
    silence() {
      line.isSilent = true;
      for (const socket of sockets) socket.pause();
    },
    delay: (delayMs) => void (line.delayMs = delayMs),
    async heal() {
      Object.assign(line, { isSilent: false, delayMs: 0 });
      for (const socket of sockets) socket.resume();
      server ??= await listening(ownPort);
    },
    async stop() {
      cut();
      await Promise.all([...sockets].map((socket) => once(socket, "close").catch(() => undefined)));
    },
  };
}

/** How every connection of a proxy behaves at the moment. */
interface Line {
  isSilent: boolean;
  delayMs: number;
}

const inTurn = (targets: readonly Target[], turn: number): Target[] =>
  targets.map((_, index) => targets[(turn + index) % targets.length] as Target);

async function firstThatAnswers(targets: readonly Target[]): Promise<Socket | undefined> {
  for (const { host = "127.0.0.1", port } of targets) {
    const socket = connect(port, host);
    const isOpen = await once(socket, "connect").then(
      () => true,
      () => false,
    );
    if (isOpen) return socket;
    socket.destroy();
  }
  return undefined;
}

/** One direction. A proxy that falls silent between two chunks has paused the source already. */
function join(from: Socket, to: Socket, line: Line): void {
  if (line.isSilent) from.pause();
  from.on("data", (chunk: Buffer) => {
    if (line.delayMs === 0) return forward(from, to, chunk, line);
    setTimeout(() => forward(from, to, chunk, line), line.delayMs);
  });
  from.once("end", () => to.end());
  from.once("close", () => to.destroy());
}

function forward(from: Socket, to: Socket, chunk: Buffer, line: Line): void {
  if (to.destroyed || to.write(chunk)) return;
  from.pause();
  to.once("drain", () => void (line.isSilent || from.resume()));
}
