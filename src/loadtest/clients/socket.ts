/** What the lab needs of a Socket.IO client: Socket.IO's own has it, and so has `LeanSocket`. */
export interface ClientSocket {
  readonly id?: string | undefined;
  readonly connected: boolean;
  /** Whether the server took the last connection's rooms and missed packets up again; Socket.IO's own may leave it out. */
  readonly recovered: boolean | undefined;
  /** Whether it connects again by itself. */
  readonly active: boolean;
  on(event: string, listener: Listener): unknown;
  emit(event: string, ...args: unknown[]): unknown;
  connect(): unknown;
  disconnect(): unknown;
}

// oxlint-disable-next-line typescript/no-explicit-any -- as Socket.IO has it: the server's word for what an event brings
export type Listener = (...args: any[]) => void;

/** Asked for what goes into each CONNECT packet, as Socket.IO's `auth` option. */
export type Auth = (give: (data: Record<string, unknown>) => void) => void;
