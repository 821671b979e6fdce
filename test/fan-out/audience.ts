import type { Socket as NetSocket } from "node:net";
import type { DeliveryOptions } from "../../src/channels/subscribers.ts";
import { createFanOut } from "../../src/connections/fan-out.ts";
import type { SocketConnection } from "../../src/connections/socket-connection.ts";
import { startEdge, type Edge, type EdgeOptions } from "../support/edge.ts";

/** An edge and a voice that reaches everybody connected to it. */
export interface Audience {
  edge: Edge;
  /** The sockets of all its clients, on its side. */
  netSockets: NetSocket[];
  /** The connections, in the order in which they came. */
  connections(): SocketConnection[];
  /** Publishes to all of them in this turn of the event loop. */
  publish(numbers: readonly number[], options?: { manner?: DeliveryOptions; bytes?: number }): void;
}

export async function startAudience(options: EdgeOptions = {}): Promise<Audience> {
  const edge = await startEdge(options);
  const netSockets: NetSocket[] = [];
  edge.httpServer.on("connection", (socket) => netSockets.push(socket));
  const deliver = createFanOut({ metrics: edge.metrics });
  const connections = (): SocketConnection[] => [...edge.sockets.connections.all()] as SocketConnection[];
  return {
    edge,
    netSockets,
    connections,
    publish(numbers, { manner, bytes = 0 } = {}) {
      for (const number of numbers) deliver(connections(), packetOf(number, bytes), manner);
    },
  };
}

export function packetOf(number: number, bytes = 0): Buffer {
  const publication = { channel: "chat:lobby", epoch: "e", offset: number, event: "said", data: "ä".repeat(bytes / 2) };
  return Buffer.from(`42["publication",${JSON.stringify(publication)},"${number}"]`);
}

export const range = (from: number, to: number): number[] =>
  Array.from({ length: to - from + 1 }, (_, index) => from + index);

/** What a reader was told, in short: the numbers of publications, the names of other events. */
export function storyOf(packets: readonly string[]): (number | string)[] {
  return packets.filter((text) => /^4[23]/.test(text)).map(wordOf);
}

function wordOf(packet: string): number | string {
  const [event, argument] = JSON.parse(packet.replace(/^4[23]\d*/, "")) as [string | object, { offset: number }];
  if (event === "publication") return argument.offset;
  return typeof event === "string" ? event : "answer";
}

/** The offsets of the publications among them. */
export const numbersOf = (packets: readonly string[]): number[] =>
  storyOf(packets).filter((word) => typeof word === "number");
