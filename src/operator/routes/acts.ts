import type { Logouts } from "../../auth/logout.ts";
import type { Revocations } from "../../auth/revocations.ts";
import { route, type Route } from "../../http/route.ts";
import { closing } from "../../protocol/closings.ts";
import { connectionParams } from "../../protocol/client-requests.ts";
import {
  actAnswer,
  clearLimitsBody,
  drainAnswer,
  limitsCleared,
  nodeParams,
} from "../../protocol/operator/operator.ts";
import { disconnectBody, sessionParams, userParams } from "../../protocol/sessions.ts";
import type { OperatorService } from "../operator.ts";

export interface OperatorActDeps {
  operator: OperatorService;
  logouts: Pick<Logouts, "session" | "allSessions">;
  revocations: Pick<Revocations, "disconnectUser">;
}

const common = { method: "post", tag: "Operators", access: "admin" } as const;

/** Everything an operator with the role `admin` can do; each call adds a line to the audit log. */
export function createOperatorActs({ operator, logouts, revocations }: OperatorActDeps): Route[] {
  return [
    route(
      {
        ...common,
        path: "/v1/operator/nodes/{nodeId}/drain",
        operationId: "drainNode",
        summary: "Drain a node: it moves its clients to other nodes and exits.",
        params: nodeParams,
        answer: drainAnswer,
      },
      async ({ params }) => ({ body: await operator.drain(params.nodeId) }),
    ),
    route(
      {
        ...common,
        path: "/v1/operator/connections/{connectionId}/disconnect",
        operationId: "disconnectConnection",
        summary: "Close one connection.",
        params: connectionParams,
        body: disconnectBody,
        answer: actAnswer,
      },
      async ({ params, body = {} }) => ({
        body: await operator.disconnect(params.connectionId, body.reconnect === true),
      }),
    ),
    route(
      {
        ...common,
        path: "/v1/operator/users/{userId}/disconnect",
        operationId: "operatorDisconnectUser",
        summary: "Close a user's connections on every node; the sessions stay.",
        params: userParams,
        body: disconnectBody,
        answer: actAnswer,
      },
      async ({ params, body = {} }) => {
        const { code = "disconnected_by_backend", ...words } = body;
        return { body: await revocations.disconnectUser(params.userId, closing(code, words)) };
      },
    ),
    route(
      {
        ...common,
        path: "/v1/operator/users/{userId}/revoke",
        operationId: "operatorRevokeUser",
        summary: "End all sessions of a user and close their connections.",
        params: userParams,
        answer: actAnswer,
      },
      async ({ params }) => ({ body: await logouts.allSessions(params.userId) }),
    ),
    route(
      {
        ...common,
        path: "/v1/operator/sessions/{sessionId}/revoke",
        operationId: "operatorRevokeSession",
        summary: "End a session and close its connections.",
        params: sessionParams,
        answer: actAnswer,
      },
      async ({ params }) => ({ body: await logouts.session(params.sessionId) }),
    ),
    route(
      {
        ...common,
        path: "/v1/operator/limits/clear",
        operationId: "clearLimits",
        summary: "Forget what limits have counted of a user or an address, so that they are full again.",
        description:
          "A user's messages, bytes, sessions and custom limits with this key; an address' handshakes and sessions; with both " +
          "also the logins of this user from this address.",
        body: clearLimitsBody,
        answer: limitsCleared,
      },
      async ({ body }) => ({ body: await operator.clearLimits(body) }),
    ),
  ];
}
