import { io } from "socket.io-client";
import type { Random } from "../random.ts";
import { gatewayProtocol, plainProtocol } from "./target-protocol.ts";
import { GatewayReader } from "./gateway-reader.ts";
import { LeanSocket } from "./lean-socket.ts";
import type { Dialer } from "./dialer.ts";
import type { VirtualUserLogin } from "./login.ts";
import type { ParseEvent } from "./parse-once.ts";
import type { Reader, ReaderOptions } from "./reader.ts";
import type { Auth, ClientSocket } from "./socket.ts";
import { SocketReader } from "./socket-reader.ts";

/** Client implementations: the load generator's own, the unmodified Socket.IO client, and the gateway's library. */
export const clientKinds = ["lean", "stock", "tidegate"] as const;
export type ClientKind = (typeof clientKinds)[number];

export interface ReaderDeps {
  kind: ClientKind;
  /** Kind of server under test. */
  target: "gateway" | "plain";
  dialer: Dialer;
  path: string;
  login: VirtualUserLogin;
  random: Random;
  /** Shared by all lean clients of a process. */
  parse: ParseEvent;
}

export function createReader(deps: ReaderDeps, options: ReaderOptions): Reader {
  const { kind, target, dialer: line, path, login, random, parse } = deps;
  if (kind === "tidegate") return new GatewayReader({ dialer: line, path, login }, options);
  const socket: ClientSocket =
    kind === "lean"
      ? new LeanSocket({ dialer: line, path, auth: login.auth, random, parse })
      : createStockSocket(line, path, login.auth);
  const dialect = target === "gateway" ? gatewayProtocol : plainProtocol;
  return new SocketReader({ socket, protocol: dialect, login, random }, options);
}

/** Uses Socket.IO's defaults for reconnection. */
export function createStockSocket(line: Dialer, path: string, auth: Auth): ClientSocket {
  const options = { path, auth, transports: ["websocket"], forceNew: true, autoConnect: false };
  return io(line.address.origin, line.withAgent(options));
}
