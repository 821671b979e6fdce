/** Event names that Socket.IO keeps for itself: clients disconnect if they receive one. */
const ofSocketIo: ReadonlySet<string> = new Set([
  "connect",
  "connect_error",
  "disconnect",
  "disconnecting",
  "newListener",
  "removeListener",
]);

/** Event names that the gateway sends, and those with a meaning of their own in the client or server of Socket.IO. */
const ofGateway: ReadonlySet<string> = new Set([
  "connection",
  "error",
  "ready",
  "publication",
  "position",
  "presence",
  "state",
  "subscribed",
  "unsubscribed",
  "warning",
  "auth:expiring",
  "drain",
  "closing",
]);

export const isReservedEvent = (event: string): boolean => ofSocketIo.has(event);

/** True for every name that a publication or an app must not imitate. */
export const isGatewayEvent = (event: string): boolean => ofSocketIo.has(event) || ofGateway.has(event);
