/** The part of a Socket.IO client that readers use, implemented by Socket.IO's client and by `LeanSocket`. */
export interface ClientSocket {
  readonly id?: string | undefined;
  readonly connected: boolean;
  /** Whether the server recovered the last connection; Socket.IO's client may leave it undefined. */
  readonly recovered: boolean | undefined;
  /** Whether it reconnects by itself. */
  readonly active: boolean;
  on(event: string, listener: SocketListener): unknown;
  emit(event: string, ...args: unknown[]): unknown;
  connect(): unknown;
  disconnect(): unknown;
}

// oxlint-disable-next-line typescript/no-explicit-any -- as in Socket.IO: the server decides what an event carries
export type SocketListener = (...args: any[]) => void;

/** Called for the payload of each CONNECT packet, as Socket.IO's `auth` option. */
export type Auth = (give: (data: Record<string, unknown>) => void) => void;
