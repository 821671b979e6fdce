import { createOrigins } from "../engine/origins.ts";
import { createAuthenticate } from "../http/api-keys.ts";
import type { LimitHttp } from "../http/rate-limit.ts";
import type { Route } from "../http/route.ts";
import { createStreamRoutes } from "../http/streams.ts";
import type { Admission } from "../connections/admission.ts";
import type { ConnectionHooks } from "../connections/connection-hooks.ts";
import { ErrorReporter } from "../connections/error-reporter.ts";
import { StreamAdmission } from "../connections/streams/stream-admission.ts";
import { Streams } from "../connections/streams/streams.ts";
import type { ClientAddress } from "../runtime/client-address.ts";
import type { NodeContext } from "./node-context.ts";
import type { NetworkParts } from "./network-parts.ts";
import { withWebhooks } from "./webhooks.ts";

export interface StreamWiring {
  hooks: ConnectionHooks;
  admission: Admission;
}

const closeTimeoutMs = 3_000;

export function createStreams(context: NodeContext, parts: NetworkParts, { hooks, admission }: StreamWiring): Streams {
  const { config, metrics, reasons, clock, log } = context;
  const { channels, permissions, kinds, state } = parts.services;
  return new Streams(
    {
      lifecycle: withWebhooks(hooks, parts.webhooks),
      admission: new StreamAdmission({
        hooks,
        admission,
        permissions,
        kinds,
        maxChannels: config.limits.subscriptionsPerConnection,
        metrics,
      }),
      registry: parts.connections,
      channels,
      readState: (channel) => state.read(channel),
      isDraining: parts.isDraining,
      metrics,
      reasons,
      failures: new ErrorReporter({ metrics, clock, log }),
      clock,
    },
    {
      nodeId: config.nodeId,
      queueBytes: config.limits.outboundQueueBytes,
      closeTimeoutMs,
    },
  );
}

/** `streams` exists once the socket server does, which needs the HTTP server with these routes. */
export function streamRoutesOf(
  { config, metrics, reasons, log }: NodeContext,
  streams: () => Streams,
  { limit, clientAddress }: { limit: LimitHttp; clientAddress: ClientAddress },
): Route[] {
  const origins = createOrigins(config.allowedOrigins);
  return createStreamRoutes({
    streams: {
      stream: (asked) => streams().stream(asked),
      poll: (asked) => streams().poll(asked),
    },
    origins,
    authenticate: createAuthenticate(config.apiKeys),
    limit,
    clientAddress,
    metrics,
    reasons,
    log,
  });
}
