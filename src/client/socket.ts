import { io, type ManagerOptions, type Socket, type SocketOptions } from "socket.io-client";
import type {
  AppAnswerOutput,
  Contract,
  EventInput,
  OpenContract,
  PublicationData,
} from "../protocol/contract/contract.ts";
import type { ErrorBody } from "../protocol/errors.ts";
import type { ClientToServerEvents, LivePublication, ServerToClientEvents, WirePublication } from "../protocol/wire.ts";

/** Socket.IO's socket, typed with the gateway's events, and with those of a contract. */
export type GatewaySocket<C extends Contract = OpenContract> = Socket<
  ServerToClientEvents & PublicationListeners<C>,
  ClientToServerEvents & AppRequests<C>
>;

/**
 * Events for the app. If the contract has an answer, it is requested, and it is what the app answers, or why it could not.
 */
type AppRequests<C extends Contract> = {
  [Name in keyof C["events"] & string]: C["events"][Name] extends { answer: unknown }
    ? (input: EventInput<C, Name>, acknowledge: AnswerCallback<AppAnswerOutput<C, Name>>) => void
    : (input: EventInput<C, Name>, acknowledge?: AnswerCallback<unknown>) => void;
};

type AnswerCallback<Answer> = (answer: Answer | { ok: false; error: ErrorBody }) => void;

/** Publications of channels that deliver them under their own event name. */
type PublicationListeners<C extends Contract> = {
  [Event in PublicationEvents<C>]: (data: DataOf<C, Event>, place: PublicationPlace, recoveryOffset?: string) => void;
};

type PublicationEvents<C extends Contract> = {
  [Kind in keyof C["channels"]]: keyof C["channels"][Kind] & string;
}[keyof C["channels"]];

type DataOf<C extends Contract, Event extends string> = {
  [Kind in keyof C["channels"] & string]: PublicationData<C, Kind> extends { [E in Event]: infer Data } ? Data : never;
}[keyof C["channels"] & string];

type PublicationPlace = Omit<WirePublication, "event" | "data"> | Omit<LivePublication, "event" | "data">;

export const defaultPath = "/socket.io/";

/** Origin, path and query. Socket.IO takes a path for a namespace; React Native's `URL` has no parts. */
const partsOfUrl = /^((?:\w*:?\/\/)?[^/?#]*)([^?#]*?)\/*(\?[^#]*)?(#.*)?$/;

/**
 * `url` may have a path below which the gateway is reached: `https://host/realtime`. WebSocket is tried first, because
 * it needs no sticky routing. `createConnection` reconnects.
 */
export const createSocket = (
  url: string,
  timeout: number,
  options: Partial<ManagerOptions & SocketOptions> | undefined,
): GatewaySocket =>
  io(url.replace(partsOfUrl, "$1/$3"), {
    path: url.replace(partsOfUrl, "$2") + defaultPath,
    transports: ["websocket", "polling"],
    tryAllTransports: true,
    // Leaves time to try the other transport if the first never opens.
    timeout: timeout / 2,
    ...options,
    forceNew: true,
    autoConnect: false,
    reconnection: false,
  });
