import type { Sessions } from "../../auth/sessions.ts";
import type { ReadHistory } from "../../http/routes/channels.ts";
import { route, type Route } from "../../http/route.ts";
import type { Kinds } from "../../channels/kinds.ts";
import { kindOf } from "../../protocol/names.ts";
import {
  auditAnswer,
  auditQuery,
  channelAnswer,
  connectionsAnswer,
  connectionsQuery,
  overviewAnswer,
  reasonsAnswer,
  reasonsQuery,
  settingsAnswer,
  userAnswer,
  whyAnswer,
  whyBody,
  type OperatorRole,
} from "../../protocol/operator.ts";
import { wrong } from "../../protocol/parse-with.ts";
import { channelParams } from "../../protocol/publications.ts";
import { userParams } from "../../protocol/sessions.ts";
import type { RecordedReason } from "../../runtime/reason-log.ts";
import type { AuditLog } from "../audit-log.ts";
import type { OperatorService } from "../operator.ts";

export interface OperatorViewDeps {
  operator: OperatorService;
  audit: AuditLog;
  sessions: Pick<Sessions, "list">;
  history: ReadHistory;
  kinds: Kinds;
  /** State of the store, in numbers and words. */
  storeState: () => Promise<object>;
  sources: { environment: readonly string[]; file: readonly string[] };
  /** Whether viewers see payloads. */
  showPayloads: boolean;
}

/** Whether a caller may see payloads. */
export const seesPayloads = (role: OperatorRole | undefined, showPayloads: boolean): boolean =>
  role === "admin" || showPayloads;

const common = { method: "get", tag: "Operators", access: "operator" } as const;
const userConnections = 200;
const shownPublications = 50;

/** Everything an operator can see. */
export function createOperatorViews(deps: OperatorViewDeps): Route[] {
  return [
    overview(deps),
    connections(deps),
    user(deps),
    channel(deps),
    refusals(deps),
    why(deps),
    audit(deps),
    settings(deps),
  ];
}

function overview({ operator, storeState }: OperatorViewDeps): Route {
  const definition = {
    ...common,
    path: "/v1/operator/overview",
    operationId: "readOverview",
    summary: "Every node and its state, sums over the cluster, and the store.",
    description: "Nodes that do not answer within a second are named in `missing`, and the rest is returned.",
    answer: overviewAnswer,
  } as const;
  return route(definition, async () => {
    const [cluster, store] = await Promise.all([operator.overview(), storeState()]);
    return { body: { ...cluster, store } };
  });
}

function connections({ operator }: OperatorViewDeps): Route {
  const definition = {
    ...common,
    path: "/v1/operator/connections",
    operationId: "listOperatorConnections",
    summary: "Search the connections of all nodes.",
    query: connectionsQuery,
    answer: connectionsAnswer,
  } as const;
  return route(definition, async ({ query }) => {
    const {
      user: userId,
      session: sessionId,
      connection: connectionId,
      node: nodeId,
      limit = 50,
      cursor,
      sort = "age",
      ...rest
    } = query;
    if (cursor !== undefined && sort !== "age") throw wrong("cursor", "needs the sort age");
    const filter = { userId, sessionId, connectionId, nodeId, ...rest };
    const page = await operator.connections(filter, limit, cursor, sort);
    if (page === undefined) throw wrong("cursor", "is not a cursor of this list");
    return { body: page };
  });
}

function user({ operator, sessions }: OperatorViewDeps): Route {
  const definition = {
    ...common,
    path: "/v1/operator/users/{userId}",
    operationId: "readOperatorUser",
    summary: "A user's sessions, and connections on all nodes.",
    params: userParams,
    answer: userAnswer,
  } as const;
  return route(definition, async ({ params: { userId } }) => {
    const [list, page] = await Promise.all([sessions.list(userId), operator.connections({ userId }, userConnections)]);
    const shown = list.map(({ userId: _userId, data: _private, ...session }) => session);
    return { body: { userId, sessions: shown, connections: page?.connections ?? [], silent: page?.silent ?? [] } };
  });
}

function channel({ operator, history, kinds, showPayloads }: OperatorViewDeps): Route {
  const definition = {
    ...common,
    path: "/v1/operator/channels/{channel}",
    operationId: "readOperatorChannel",
    summary: "A channel's rules, position, subscribers by node and latest publications.",
    refusals: ["unknown_channel"],
    params: channelParams,
    answer: channelAnswer,
  } as const;
  return route(definition, async ({ params: { channel: name }, role }) => {
    const rules = kinds.of(name);
    const [nodes, log] = await Promise.all([operator.channel(name), history(name, { limit: shownPublications })]);
    const publications = log.publications.map(({ offset, event, publishedAt, data }) => ({
      offset,
      event,
      publishedAt,
      bytes: Buffer.byteLength(JSON.stringify(data) ?? ""),
      ...(seesPayloads(role, showPayloads) ? { data } : {}),
    }));
    const { epoch, offset } = log;
    return { body: { channel: name, kind: kindOf(name), rules, epoch, offset, publications, ...nodes } };
  });
}

function refusals({ operator }: OperatorViewDeps): Route {
  const definition = {
    ...common,
    path: "/v1/operator/refusals",
    operationId: "listRefusals",
    summary: "The last refusals and closings of all nodes, with their reasons.",
    description: "Each node keeps its last thousand. Equal ones within ten seconds are one entry with a `count`.",
    query: reasonsQuery,
    answer: reasonsAnswer,
  } as const;
  return route(definition, async ({ query: { kind, code, user: userId, address, limit = 100 } }) => {
    const isWanted = (reason: RecordedReason): boolean =>
      (kind === undefined || reason.kind === kind) &&
      (code === undefined || reason.code === code) &&
      (userId === undefined || reason.userId === userId) &&
      (address === undefined || reason.address === address);
    return { body: await operator.reasons(isWanted, limit) };
  });
}

function why({ operator }: OperatorViewDeps): Route {
  const definition = {
    ...common,
    method: "post",
    path: "/v1/operator/why",
    operationId: "explainAccess",
    summary: "Whether a token, a user or a session may connect, and use a channel: step by step.",
    description: "Changes nothing. The token is neither logged nor kept.",
    body: whyBody,
    answer: whyAnswer,
  } as const;
  return route(definition, async ({ body }) => ({ body: await operator.why(body) }));
}

function audit({ audit: log }: OperatorViewDeps): Route {
  const definition = {
    ...common,
    path: "/v1/operator/audit",
    operationId: "readAudit",
    summary: "Acts of operators, and of backends on live connections, newest first.",
    description: "The last ten thousand; `before` is the id of the last entry of the previous page.",
    query: auditQuery,
    answer: auditAnswer,
  } as const;
  return route(definition, async ({ query: { before, limit = 100 } }) => ({
    body: { entries: await log.list({ before, limit }) },
  }));
}

function settings({ operator, sources }: OperatorViewDeps): Route {
  const definition = {
    ...common,
    path: "/v1/operator/settings",
    operationId: "readSettings",
    summary: "The effective settings with secrets masked, where they come from, and in which nodes differ.",
    answer: settingsAnswer,
  } as const;
  return route(definition, async () => ({ body: { ...(await operator.settings()), sources } }));
}
