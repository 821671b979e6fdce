/** Event names that Socket.IO keeps for itself: clients disconnect if they receive one. */
const reserved: ReadonlySet<string> = new Set([
  "connect",
  "connect_error",
  "disconnect",
  "disconnecting",
  "newListener",
  "removeListener",
]);

export const isReservedEvent = (event: string): boolean => reserved.has(event);
