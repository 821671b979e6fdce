import { io } from "socket.io-client";
import type { Random } from "../random.ts";
import { gatewayDialect, plainDialect } from "./dialect.ts";
import { GatewayReader } from "./gateway-reader.ts";
import { LeanSocket } from "./lean-socket.ts";
import type { Line } from "./line.ts";
import type { Login } from "./login.ts";
import type { ParseEvent } from "./parse-once.ts";
import type { Reader, ReaderOptions } from "./reader.ts";
import type { Auth, ClientSocket } from "./socket.ts";
import { SocketReader } from "./socket-reader.ts";

/** Which program a virtual client is: the lab's own, Socket.IO's unmodified one, or the project's. */
export const clientKinds = ["lean", "stock", "tidegate"] as const;
export type ClientKind = (typeof clientKinds)[number];

export interface ReaderDeps {
  kind: ClientKind;
  /** What it talks to. */
  target: "gateway" | "plain";
  line: Line;
  path: string;
  login: Login;
  random: Random;
  /** Shared by the lean clients of a process. */
  parse: ParseEvent;
}

export function createReader(deps: ReaderDeps, options: ReaderOptions): Reader {
  const { kind, target, line, path, login, random, parse } = deps;
  if (kind === "tidegate") return new GatewayReader({ line, path, login }, options);
  const socket: ClientSocket =
    kind === "lean"
      ? new LeanSocket({ line, path, auth: login.auth, random, parse })
      : createStockSocket(line, path, login.auth);
  const dialect = target === "gateway" ? gatewayDialect : plainDialect;
  return new SocketReader({ socket, dialect, login, random }, options);
}

/** With Socket.IO's own defaults for everything that concerns connecting again. */
export function createStockSocket(line: Line, path: string, auth: Auth): ClientSocket {
  const options = { path, auth, transports: ["websocket"], forceNew: true, autoConnect: false };
  // Socket.IO's types take an agent's name only, for browsers.
  return io(line.address.origin, { ...options, agent: line.agent() as unknown as string });
}
