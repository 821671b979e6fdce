import type { Server } from "socket.io";

/** Methods that would replace or extend what the gateway does, always. */
const replacing = {
  listen: "gateway.io already belongs to a gateway: use gateway.listen(port).",
  attach: "gateway.io already belongs to a gateway: use createGateway({ server }).",
  attachApp: "gateway.io already belongs to a gateway: use createGateway({ server }).",
  bind: "The gateway has an engine of its own, gateway.io.engine.",
};

/** Methods that read a setting without an argument, and would change it with one. */
const settings = {
  adapter: "The gateway has an adapter of its own, which reaches every node: remove the call.",
  path: "The path of the gateway is /socket.io/: a proxy may serve it below another.",
  serveClient: "The gateway always serves Socket.IO's client files.",
  connectTimeout: "A client has five seconds to authenticate.",
};

/**
 * `gateway.io` is the gateway's own server, so what Socket.IO has to set one up is refused: it would take effect beside the gateway,
 * without its checks, or none at all. `close` closes the gateway.
 */
export function toAppServer(io: Server, closeGateway: () => Promise<unknown>): Server {
  for (const [name, reason] of Object.entries(replacing)) Object.assign(io, { [name]: refusing(name, reason) });
  for (const [name, reason] of Object.entries(settings)) guardSetting(io, name as keyof typeof settings, reason);
  return Object.assign(io, {
    async close(closed?: (error?: Error) => void): Promise<void> {
      await closeGateway();
      closed?.();
    },
  });
}

const refusing = (name: string, reason: string) => (): never => {
  throw new Error(`io.${name}: ${reason}`);
};

function guardSetting(io: Server, name: keyof typeof settings, reason: string): void {
  const read = io[name].bind(io) as () => unknown;
  const refuse = refusing(name, reason);
  Object.assign(io, { [name]: (...values: unknown[]) => (values.length === 0 ? read() : refuse()) });
}
