import type { AllowedOrigins } from "../engine/origins.ts";
import { defaultGateLimits } from "../protocol/gate.ts";

export interface SocketServerOptions {
  nodeId: string;
  allowedOrigins: AllowedOrigins;
  /** Max bytes of the JSON of one event. @default 65536 */
  payloadBytes?: number | undefined;
  /** Max bytes in a client's send queue; a slower consumer is closed. @default 1048576 */
  outboundQueueBytes?: number | undefined;
  /** Max unauthenticated connections; further ones are refused. @default 5000 */
  maxPending?: number | undefined;
  /** The same for one address (IPv6: one /64). @default `maxPending` */
  maxPendingPerAddress?: number | undefined;
  /** Messages of one connection in flight at which reading stops. @default 256 */
  maxUnanswered?: number | undefined;
  /** Milliseconds until a connection must have authenticated. @default 5000 */
  connectTimeoutMs?: number | undefined;
  /** Milliseconds a client may take to answer a close. @default 3000 */
  closeTimeoutMs?: number | undefined;
  /** @default 25000 */
  pingIntervalMs?: number | undefined;
  /** @default 20000 */
  pingTimeoutMs?: number | undefined;
}

export const socketDefaults = {
  outboundQueueBytes: 1_048_576,
  maxPending: 5_000,
  connectTimeoutMs: 5_000,
  closeTimeoutMs: 3_000,
  pingIntervalMs: 25_000,
  pingTimeoutMs: 20_000,
};

export type Bounds = ReturnType<typeof boundsOf>;

/** Options with defaults. */
export function boundsOf(options: SocketServerOptions) {
  const { payloadBytes = defaultGateLimits.maxBytes, maxPending = socketDefaults.maxPending } = options;
  return {
    payloadBytes,
    /** A message of up to this size is refused with an error; a larger one ends the connection. */
    maxPayload: 2 * payloadBytes,
    maxPending,
    maxPendingPerAddress: options.maxPendingPerAddress ?? maxPending,
    connectTimeoutMs: options.connectTimeoutMs ?? socketDefaults.connectTimeoutMs,
    upgradeTimeoutMs: options.connectTimeoutMs ?? socketDefaults.connectTimeoutMs,
    closeTimeoutMs: options.closeTimeoutMs ?? socketDefaults.closeTimeoutMs,
    queueBytes: options.outboundQueueBytes ?? socketDefaults.outboundQueueBytes,
    pingIntervalMs: options.pingIntervalMs ?? socketDefaults.pingIntervalMs,
    pingTimeoutMs: options.pingTimeoutMs ?? socketDefaults.pingTimeoutMs,
  };
}
