import type { Socket } from "socket.io";
import type { Identity } from "../auth/identity.ts";
import { appUserOf } from "./connection.ts";
import { socketsOfClient } from "./socket-io.ts";

/** Users that the gateway has set. */
const named = new WeakSet<object>();

/** Sets `socket.data.user`, for an app. */
export function nameUser({ data }: Socket, identity: Identity): void {
  const user = appUserOf(identity);
  named.add(user);
  data.user = user;
}

/** The rights of a client have changed. What the app has set in place of its user stays, in each namespace. */
export function renameUser(socket: Socket, identity: Identity): void {
  for (const each of socketsOfClient(socket)) if (named.has(each.data?.user)) nameUser(each, identity);
}
