import { io, type Socket } from "socket.io-client";
import { connect } from "../../src/client/client.ts";
import type { Closing } from "../../src/protocol/closings.ts";
import type { SubscribeAnswer, Unsubscribed, WirePublication } from "../../src/protocol/wire.ts";
import type { History, Place } from "./history-checker.ts";

/** One client that reads channels whatever happens, and writes down what it is told. */
export interface Reader {
  readonly name: string;
  /** Resolves when it has been connected once. */
  readonly opened: Promise<unknown>;
  /** Times its connection was lost. */
  readonly disconnects: number;
  readonly closings: readonly Closing[];
  /** Where it stands, in words. */
  state(): string;
  close(): void;
}

export interface ReaderOptions {
  name: string;
  url: string;
  token: string;
  /** Where it begins. */
  channels: ReadonlyMap<string, Place>;
  history: History;
  /**
   * Whether a stock client passes over what it has read: on a Cluster Socket.IO's own recovery repeats rather than
   * misses, as there is no order over channels; the offsets show it.
   */
  passesOverRepeats: boolean;
  onDelivery: (reader: string, publication: LabPublication) => void;
}

/** What the lab's publishers publish. */
export type LabPublication = WirePublication<string, { id: string; sentAt: number }>;

const retryMs = 250;

/** A reader by the project's own client. */
export function projectReader({ name, url, token, channels, history, onDelivery }: ReaderOptions): Reader {
  const client = connect(url, { token, backoff: { minDelayMs: 50, maxDelayMs: 500 }, connectTimeoutMs: 10_000 });
  const closings: Closing[] = [];
  let disconnects = 0;
  let end = "";
  client.on("closing", (closing) => void closings.push(closing));
  client.on("closed", ({ code, message }) => void (end = ` (${code}: ${message})`));
  client.on("state", ({ state }) => void (state === "disconnected" && disconnects++));
  for (const [channelName, since] of channels) {
    const channel = client.channel<{ lab: LabPublication["data"] }>(channelName);
    history.began({ reader: name, channel: channelName, ...since, at: Date.now() });
    channel.on("reset", ({ position }) =>
      history.reset({ reader: name, channel: channelName, ...position, at: Date.now() }),
    );
    channel.on("publication", (publication) => {
      const through = client.ready?.nodeId ?? "";
      const delivered = { ...publication, epoch: publication.epoch ?? "", offset: publication.offset ?? 0 };
      history.delivered({ reader: name, ...delivered, id: delivered.data.id, through });
      onDelivery(name, delivered);
    });
    void channel.subscribe({ since });
  }
  return {
    name,
    opened: new Promise((resolve) => void client.socket.once("ready", resolve)),
    get disconnects() {
      return disconnects;
    },
    closings,
    state: () => {
      const states = [...channels.keys()].map((channel) => `${channel} ${client.channel(channel).state}`);
      return `${client.state}${end} ${client.socket.connected ? "on" : "off"}line at ${client.ready?.nodeId}: ${states.join()}`;
    },
    close: () => client.close(),
  };
}

/** A reader by a stock client, which keeps its positions by itself. */
export function stockReader(options: ReaderOptions): Reader {
  const socket: Socket = io(options.url, {
    transports: ["websocket"],
    forceNew: true,
    auth: { token: options.token },
    reconnectionDelay: 50,
    reconnectionDelayMax: 500,
    timeout: 10_000,
  });
  const closings: Closing[] = [];
  let disconnects = 0;
  let isOpen = true;
  socket.on("closing", (closing: Closing) => void closings.push(closing));
  socket.on("disconnect", () => void disconnects++);
  // A handshake that was refused by name is not tried again by itself.
  socket.on("connect_error", (error: Error & { data?: { retryAfterMs?: number } }) => {
    if (!socket.active) setTimeout(() => isOpen && socket.connect(), error.data?.retryAfterMs ?? retryMs);
  });
  for (const [channel, since] of options.channels) follow(socket, channel, since, options);
  return {
    name: options.name,
    opened: new Promise((resolve) => void socket.once("ready", resolve)),
    get disconnects() {
      return disconnects;
    },
    closings,
    state: () => (socket.connected ? "online" : `offline, ${socket.active ? "trying" : "not trying"}`),
    close() {
      isOpen = false;
      socket.disconnect();
    },
  };
}

/** As any application would: subscribe on each connection from where it stands, and again where that was not possible. */
function follow(socket: Socket, channel: string, since: Place, options: ReaderOptions): void {
  const { name, history, passesOverRepeats, onDelivery } = options;
  let position = since;
  let node = "";
  history.began({ reader: name, channel, ...since, at: Date.now() });

  function read(publication: LabPublication): void {
    const { epoch, offset } = publication;
    if (passesOverRepeats && epoch === position.epoch && offset <= position.offset) return;
    history.delivered({ reader: name, channel, epoch, offset, id: publication.data.id, through: node });
    position = { epoch, offset };
    onDelivery(name, publication);
  }

  function answered({ recovered, publications, epoch, offset }: SubscribeAnswer): void {
    if (recovered) return publications.forEach((publication) => read(publication as LabPublication));
    position = { epoch, offset };
    history.reset({ reader: name, channel, epoch, offset, at: Date.now() });
  }

  function subscribe(): void {
    const connection = socket.id;
    const isCurrent = (): boolean => socket.id === connection && socket.connected;
    const { epoch, offset } = position;
    socket.emit("subscribe", { channel, since: { epoch, offset } }, (answer: { ok: boolean } & SubscribeAnswer) => {
      if (answer.ok && isCurrent()) answered(answer);
      else if (isCurrent()) setTimeout(() => isCurrent() && subscribe(), retryMs);
    });
  }

  // On a connection that Socket.IO recovered by itself the subscription stands.
  socket.on("connect", () => socket.recovered || subscribe());
  socket.on("ready", ({ nodeId }: { nodeId: string }) => (node = nodeId));
  socket.on("unsubscribed", (taken: Unsubscribed) => taken.channel === channel && subscribe());
  socket.on("publication", (publication: LabPublication) => publication.channel === channel && read(publication));
}
