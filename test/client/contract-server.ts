import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { Server, type Socket } from "socket.io";
import { closing, type ClosingCode } from "../../src/protocol/closings.ts";
import type { ErrorBody } from "../../src/protocol/errors.ts";
import type {
  AnswerOf,
  ClientToServerEvents,
  Position,
  PublicationSender,
  PublishMessage,
  RequestName,
  RequestOf,
  ServerToClientEvents,
  SubscribeAnswer,
  Unsubscribed,
  WirePublication,
} from "../../src/protocol/wire.ts";

/**
 * A small node that keeps the client's side of the contract: a log in memory per channel with epoch and offsets,
 * recovery from it, refusals and cuts on demand. It exists so that the client's behaviour under trouble is tested
 * without everything else a gateway is.
 */
export interface ContractServer {
  readonly url: string;
  readonly log: Map<string, ChannelLog>;
  /** Handshakes so far, with the token each brought. */
  readonly handshakes: string[];
  /** Client events so far, by name. */
  readonly requests: { name: RequestName; message: object }[];
  publish(channel: string, event: string, data: unknown): WirePublication;
  /** A new epoch: what was logged is lost. */
  reset(channel: string): void;
  /** Logs a publication that no subscriber is sent. */
  lose(channel: string, event: string, data: unknown): WirePublication;
  /** To whoever is subscribed at the moment, past the log. */
  sendLive(channel: string, event: string, data: unknown): void;
  /** Sends a publication under its own event name. */
  publishNative(channel: string, event: string, data: unknown): WirePublication;
  warn(event: string): void;
  /** Ends every connection under the client's feet. */
  cut(): void;
  close(code: ClosingCode, overrides?: { reconnect?: boolean }): void;
  drain(reconnectAfterMs: number): void;
  expireSoon(expiresAt: number): void;
  takeAway(unsubscribed: Unsubscribed): void;
  stop(): Promise<void>;
}

export interface ContractServerOptions {
  /** Sees each socket before its handshake is judged. */
  beforeHandshake?: (socket: ServerSocket) => unknown;
  /** Offsets that the answer to a subscribe request names as skipped instead of containing the publications. */
  skips?: (offset: number) => boolean;
  /** Most bytes of a message; one with more ends its connection. @default Socket.IO's */
  maxPayload?: number;
  /** Refuses a handshake; undefined lets it in. */
  refuseHandshake?: (token: unknown) => ErrorBody | undefined;
  /** Refuses a request; "silence" leaves it unanswered. */
  refuseRequest?: (name: RequestName, message: object) => ErrorBody | "silence" | undefined;
  /** Milliseconds between doing what was asked and answering. @default 0 */
  answerDelayMs?: (name: RequestName) => number;
  snapshot?: (channel: string) => unknown;
  /** Whether a channel may leave publications out. @default none may */
  conflates?: (channel: string) => boolean;
  /** Socket.IO's own connection state recovery. @default false */
  recovery?: boolean;
  /** Whether `ready` says where the recovered channels stand. @default true */
  tellsPositions?: boolean;
  /** @default 10_000 */
  logSize?: number;
}

class ChannelLog {
  epoch = randomEpoch();
  offset = 0;
  publications: WirePublication[] = [];
  readonly published = new Map<string, Position>();

  append(channel: string, event: string, data: unknown, size: number, from?: PublicationSender): WirePublication {
    this.offset += 1;
    const place = { channel, epoch: this.epoch, offset: this.offset };
    const publication = { ...place, event, data, publishedAt: Date.now(), ...(from && { from }) };
    this.publications.push(publication);
    if (this.publications.length > size) this.publications.shift();
    return publication;
  }

  /** All after `since`, or undefined where that is not known to be all. */
  after(since: Position): WirePublication[] | undefined {
    const first = this.publications[0]?.offset ?? this.offset + 1;
    if (since.epoch !== this.epoch || since.offset > this.offset || since.offset < first - 1) return undefined;
    return this.publications.filter(({ offset }) => offset > since.offset);
  }

  get position(): Position {
    return { epoch: this.epoch, offset: this.offset };
  }
}

/** What it answers; boards and orders are tested on a real gateway. */
type ServedName = Exclude<RequestName, `leaderboard:${string}` | "order:get" | "orders:list">;

type ServerSocket = Socket<ClientToServerEvents, ServerToClientEvents>;

/** Socket.IO's types follow one event name at a time. */
interface Untyped {
  on(name: string, handle: (message: object, done: (answer: object) => void) => void): void;
}

const randomEpoch = (): string => Math.random().toString(36).slice(2, 10);

export async function startContractServer(options: ContractServerOptions = {}): Promise<ContractServer> {
  const { logSize = 10_000 } = options;
  const http = createServer();
  const io = new Server<ClientToServerEvents, ServerToClientEvents>(http, {
    ...(options.maxPayload !== undefined && { maxHttpBufferSize: options.maxPayload }),
    ...(options.recovery && { connectionStateRecovery: { maxDisconnectionDuration: 60_000, skipMiddlewares: false } }),
  });
  const isSkipped = options.skips ?? (() => false);
  const log = new Map<string, ChannelLog>();
  const handshakes: string[] = [];
  const requests: ContractServer["requests"] = [];

  const logOf = (channel: string): ChannelLog => {
    const known = log.get(channel) ?? new ChannelLog();
    log.set(channel, known);
    return known;
  };

  const answers: { [Name in ServedName]: (socket: ServerSocket, message: RequestOf<Name>) => AnswerOf<Name> } = {
    subscribe: (socket, { channel, since }) => subscribe(socket, channel, since),
    unsubscribe(socket, { channel }) {
      void socket.leave(channel);
      return { channel };
    },
    publish: (socket, message) => publishAs(socket, message),
    history(_, { channel, since, limit = 100 }) {
      const known = logOf(channel);
      const publications = since === undefined ? known.publications : (known.after(since) ?? []);
      return { channel, ...known.position, publications: publications.slice(-limit) };
    },
    presence: (_, { channel }) => ({ channel, members: [], count: 0 }),
    "presence:set": (_, { channel }) => ({ channel }),
    "state:set": (_, { channel, key }) => ({ channel, key, revision: 1 }),
    "sessions:list": () => ({ sessions: [] }),
    "sessions:revoke": () => ({ revoked: 0, disconnected: 0 }),
    "auth:refresh": () => ({ expiresAt: Date.now() + 60_000 }),
  };

  function subscribe(socket: ServerSocket, channel: string, since: Position | undefined): SubscribeAnswer {
    void socket.join(channel);
    const known = logOf(channel);
    const missed = since === undefined ? undefined : known.after(since);
    const snapshot = options.snapshot?.(channel);
    return {
      channel,
      ...known.position,
      recovered: missed !== undefined,
      publications: (missed ?? []).filter(({ offset }) => !isSkipped(offset)),
      ...(missed?.some(({ offset }) => isSkipped(offset)) && {
        skipped: missed.map(({ offset }) => offset).filter(isSkipped),
      }),
      ...(snapshot !== undefined && { snapshot }),
      ...(options.conflates?.(channel) && { conflated: true }),
    };
  }

  function publish(channel: string, event: string, data: unknown, from?: PublicationSender): WirePublication {
    const publication = logOf(channel).append(channel, event, data, logSize, from);
    io.to(channel).emit("publication", publication);
    return publication;
  }

  function publishAs(socket: ServerSocket, { channel, event, data, ...options }: PublishMessage) {
    const from = { userId: "ada", connectionId: socket.id, info: { name: "Ada" } };
    const others = options.echo === false ? io.to(channel).except(socket.id) : io.to(channel);
    if (options.ephemeral === true) {
      others.emit("publication", { channel, event, data, publishedAt: Date.now(), from });
      return { channel };
    }
    if (options.echo !== false) return publishOnce(channel, event, data, options.idempotencyKey, from);
    const publication = logOf(channel).append(channel, event, data, logSize, from);
    const { epoch, offset } = publication;
    others.emit("publication", publication);
    socket.emit("position", { channel, epoch, offset });
    return { channel, epoch, offset, duplicate: false };
  }

  function publishOnce(
    channel: string,
    event: string,
    data: unknown,
    key: string | undefined,
    from: PublicationSender,
  ) {
    const before = key === undefined ? undefined : logOf(channel).published.get(key);
    if (before !== undefined) return { channel, ...before, duplicate: true };
    const { epoch, offset } = publish(channel, event, data, from);
    if (key !== undefined) logOf(channel).published.set(key, { epoch, offset });
    return { channel, epoch, offset, duplicate: false };
  }

  function serve(socket: ServerSocket, name: ServedName): void {
    const untyped = socket as unknown as Untyped;
    const perform = answers[name] as (socket: ServerSocket, message: object) => object;
    untyped.on(name, (message, done) => {
      requests.push({ name, message });
      const refusal = options.refuseRequest?.(name, message);
      if (refusal === "silence") return;
      const answer = refusal === undefined ? { ok: true, ...perform(socket, message) } : { ok: false, error: refusal };
      const delayMs = options.answerDelayMs?.(name) ?? 0;
      if (delayMs === 0) done(answer);
      else setTimeout(() => done(answer), delayMs);
    });
  }

  io.use((socket, next) => {
    if (options.beforeHandshake?.(socket) === true) return;
    const token: unknown = socket.handshake.auth.token;
    handshakes.push(String(token));
    const refusal = options.refuseHandshake?.(token);
    next(refusal === undefined ? undefined : Object.assign(new Error(refusal.code), { data: refusal }));
  });

  io.on("connection", (socket) => {
    for (const name of Object.keys(answers) as ServedName[]) serve(socket, name);
    const { recovered } = socket;
    const now = Date.now();
    const who = { nodeId: "node-1", userId: "ada", sessionId: "s-1", expiresAt: now + 60_000 };
    // A packet sent to a room carries the string that Socket.IO's recovery needs.
    const positions = [...log].filter(([channel]) => socket.rooms.has(channel));
    const current = positions.map(([channel, { position }]) => ({ channel, ...position }));
    const isTold = recovered && options.tellsPositions !== false;
    io.to(socket.id).emit("ready", { ...who, recovered, ...(isTold && { positions: current }), serverTime: now });
  });

  await new Promise<void>((resolve) => http.listen(0, "127.0.0.1", resolve));
  return {
    url: `http://127.0.0.1:${(http.address() as AddressInfo).port}`,
    log,
    handshakes,
    requests,
    publish,
    reset: (channel) => void log.set(channel, new ChannelLog()),
    lose: (channel, event, data) => logOf(channel).append(channel, event, data, logSize),
    publishNative(channel, event, data) {
      const { event: _event, data: _data, ...place } = logOf(channel).append(channel, event, data, logSize);
      (io.to(channel) as unknown as { emit(...args: unknown[]): void }).emit(event, data, place, "stamp");
      return { ...place, event, data };
    },
    warn: (event) => void io.emit("warning", { code: "unknown_event", message: "Nothing handles it.", event }),
    sendLive: (channel, event, data) =>
      void io.to(channel).emit("publication", { channel, event, data, publishedAt: Date.now() }),
    cut() {
      for (const socket of io.sockets.sockets.values()) socket.conn.close(true);
    },
    close(code, overrides) {
      io.emit("closing", closing(code, overrides));
      io.disconnectSockets(true);
    },
    drain: (reconnectAfterMs) => void io.emit("drain", { reconnectAfterMs }),
    expireSoon: (expiresAt) => void io.emit("auth:expiring", { expiresAt }),
    takeAway(unsubscribed) {
      io.emit("unsubscribed", unsubscribed);
      io.socketsLeave(unsubscribed.channel);
    },
    stop: () => io.close(),
  };
}
