import type { Revocations } from "../auth/revocations.ts";
import { createTransitionTable } from "../orders/transitions.ts";
import type { RequestsToClients } from "../connections/client-requests.ts";
import { closing } from "../protocol/closings.ts";
import type { ContractChecks } from "../protocol/contract/contract-checks.ts";
import { canonicalJson } from "../protocol/gate.ts";
import { isTurnOf } from "../commands/stream-consumer.ts";
import { createCommandIngress, type CommandIngress } from "../commands/command-ingress.ts";
import type { Authentication } from "./authentication.ts";
import type { CoreServices } from "./core-services.ts";
import type { NodeContext } from "./node-context.ts";
import { observeCommands } from "./observers.ts";

export interface IngressDeps {
  services: Pick<CoreServices, "kinds" | "channels" | "orders" | "deadLetters" | "leaderboards">;
  logouts: Authentication["logouts"];
  liveRights: Authentication["liveRights"];
  revocations: Revocations;
  checks: ContractChecks | undefined;
  clientRequests: RequestsToClients;
}

/** Commands of backends, and the interfaces over Redis that accept them. */
export function createIngress(
  { config, store, control, metrics, traces, spans, clock, log }: NodeContext,
  { services, logouts, liveRights, revocations, checks, clientRequests }: IngressDeps,
): CommandIngress {
  const { kinds, channels, orders, deadLetters, leaderboards } = services;
  return createCommandIngress(
    {
      commands: store.commands,
      keys: store.keys,
      blocking: (partition) => store.redis.connection("blocking", partition),
      isTurn: (partition) => isTurnOf(control.incarnation, control.living, partition),
      bridges: store.redis.connection("bridges"),
      nodeId: config.nodeId,
      channels,
      checkChannel: (channel) => void kinds.of(channel),
      orders,
      deadLetters,
      isOrderStatus: createTransitionTable(config.orders.transitions).isKnown,
      submitScore: ({ board, member, score, mode, data, idempotencyKey }, ttlSeconds) => {
        const text = data === undefined ? undefined : canonicalJson(data);
        return leaderboards.submit(board, { member, score, mode, data: text }, idempotencyKey, ttlSeconds);
      },
      updateSession: (sessionId, change) => liveRights.update(sessionId, change),
      revokeSession: (sessionId) => logouts.session(sessionId),
      disconnectUser: ({ userId, code = "disconnected_by_backend", ...words }) =>
        revocations.disconnectUser(userId, closing(code, words)),
      checks,
      around: observeCommands(traces, spans),
      askClients: (target, request) => clientRequests.ask(target, request),
      metrics,
      clock,
      log,
    },
    {
      bridges: config.bridges,
      payloadBytes: config.limits.payloadBytes,
      stream: config.commands,
      idempotency: { ttlSeconds: config.idempotency.ttlSeconds },
      deliveryTtlSeconds: Math.max(config.commands.deduplicationSeconds, config.idempotency.ttlSeconds),
    },
  );
}
