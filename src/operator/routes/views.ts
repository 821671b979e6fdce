import type { Sessions } from "../../auth/sessions.ts";
import type { ReadHistory } from "../../http/routes/channels.ts";
import { route, type Route } from "../../http/route.ts";
import type { Kinds } from "../../channels/kinds.ts";
import { kindOf } from "../../protocol/names.ts";
import {
  channelAnswer,
  connectionsAnswer,
  connectionsQuery,
  overviewAnswer,
  settingsAnswer,
  operatorChannelQuery,
  userAnswer,
  userScoresAnswer,
  type ConnectionSummary,
  type OperatorRole,
} from "../../protocol/operator/operator.ts";
import {
  auditAnswer,
  auditQuery,
  reasonsAnswer,
  reasonsQuery,
  whyAnswer,
  whyBody,
} from "../../protocol/operator/operator-reasons.ts";
import { wrong } from "../../protocol/parse-with.ts";
import { channelParams } from "../../protocol/publications.ts";
import { userParams } from "../../protocol/sessions.ts";
import type { ChannelLog } from "../../channels/channel-log.ts";
import type { Leaderboards } from "../../leaderboards/leaderboards.ts";
import type { Orders } from "../../orders/orders.ts";
import type { Presence } from "../../presence/presence.ts";
import type { Order } from "../../protocol/order.ts";
import type { RecordedReason } from "../../runtime/reason-log.ts";
import type { State } from "../../state/state.ts";
import type { AuditLog } from "../audit-log.ts";
import type { OperatorService } from "../operator.ts";

export interface OperatorViewDeps {
  operator: OperatorService;
  audit: AuditLog;
  sessions: Pick<Sessions, "list" | "blockOf">;
  orders: Pick<Orders, "list">;
  leaderboards: Pick<Leaderboards, "scoresOf">;
  history: ReadHistory;
  extent: ChannelLog["extent"];
  members: Pick<Presence["members"], "of">;
  state: Pick<State, "find">;
  kinds: Kinds;
  /** State of the store, in numbers and words. */
  storeState: () => Promise<object>;
  sources: {
    environment: readonly string[];
    file: readonly string[];
    /** Of a setting, by its name. */
    of: (name: string) => object;
  };
  /** Whether viewers see payloads. */
  showPayloads: boolean;
}

/** Whether a caller may see payloads. */
export const seesPayloads = (role: OperatorRole | undefined, showPayloads: boolean): boolean =>
  role === "admin" || showPayloads;

export const withoutData = <T extends { data?: unknown }>({ data: _data, ...rest }: T): Omit<T, "data"> => rest;

const common = { method: "get", tag: "Operators", access: "operator" } as const;
const userConnections = 200;
const shownPublications = 50;
const shownOrders = 20;
const shownScores = 50;
const shownMembers = 50;
const shownKeys = 50;
const shownPresence = 20;

/** Everything an operator can see. */
export function createOperatorViews(deps: OperatorViewDeps): Route[] {
  return [
    overview(deps),
    connections(deps),
    user(deps),
    userScores(deps),
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

function user(deps: OperatorViewDeps): Route {
  const { operator, sessions, orders, showPayloads } = deps;
  const definition = {
    ...common,
    path: "/v1/operator/users/{userId}",
    operationId: "readOperatorUser",
    summary: "A user's sessions, connections on all nodes, presence, limits, block and last orders.",
    params: userParams,
    answer: userAnswer,
  } as const;
  return route(definition, async ({ params: { userId }, role }) => {
    const [list, block, limits, page, last] = await Promise.all([
      sessions.list(userId),
      sessions.blockOf(userId),
      operator.limitsOf(userId),
      operator.connections({ userId }, userConnections),
      orders.list({ user: userId, limit: shownOrders }),
    ]);
    const shown = list.map(({ userId: _userId, data: _private, revision: _order, ...session }) => session);
    const { connections: open = [], silent = [] } = page ?? {};
    const known = { userId, ...(block === undefined ? {} : { block }), limits, sessions: shown };
    const presence = await presenceOf(deps, userId, open, seesPayloads(role, showPayloads));
    return { body: { ...known, presence, orders: last.orders.map(toUserOrder(userId)), connections: open, silent } };
  });
}

/** The user as member of the channels that its connections are subscribed to. */
async function presenceOf(
  { kinds, members }: OperatorViewDeps,
  userId: string,
  connections: readonly ConnectionSummary[],
  withData: boolean,
) {
  const subscribed = new Set(connections.flatMap(({ channels }) => channels.map(({ channel }) => channel)));
  const shown = [...subscribed].filter((name) => kinds.has(name) && kinds.of(name).presence).slice(0, shownPresence);
  const found = shown.map(async (name) => {
    const member = (await members.of(name)).members.find((one) => one.userId === userId);
    if (member === undefined) return [];
    const { data } = member;
    const ownData = withData && data !== undefined ? { data } : {};
    return [{ channel: name, connections: member.connections, ...ownData }];
  });
  return (await Promise.all(found)).flat();
}

const toUserOrder =
  (userId: string) =>
  ({ orderId, status, updatedAt, parties }: Order) => {
    const roles = Object.entries(parties).flatMap(([role, party]) => (party === userId ? [role] : []));
    return { orderId, status, updatedAt, role: roles.join(", ") };
  };

function userScores({ leaderboards, showPayloads }: OperatorViewDeps): Route {
  const definition = {
    ...common,
    path: "/v1/operator/users/{userId}/scores",
    operationId: "readOperatorUserScores",
    summary: "A user's scores and ranks on all boards.",
    params: userParams,
    answer: userScoresAnswer,
  } as const;
  return route(definition, async ({ params: { userId }, role }) => {
    const scores = await leaderboards.scoresOf(userId, shownScores);
    return { body: { scores: seesPayloads(role, showPayloads) ? scores : scores.map(withoutData) } };
  });
}

function channel(deps: OperatorViewDeps): Route {
  const { operator, history, extent, kinds, showPayloads } = deps;
  const definition = {
    ...common,
    path: "/v1/operator/channels/{channel}",
    operationId: "readOperatorChannel",
    summary: "A channel's rules, position, subscribers by node, publications, members and state.",
    refusals: ["unknown_channel"],
    params: channelParams,
    query: operatorChannelQuery,
    answer: channelAnswer,
  } as const;
  return route(definition, async ({ params: { channel: name }, query: { before }, role }) => {
    const rules = kinds.of(name);
    const [nodes, log, kept, members, state] = await Promise.all([
      operator.channel(name),
      pageBefore(history, name, before),
      extent(name),
      membersOf(deps, name),
      stateOf(deps, name, seesPayloads(role, showPayloads)),
    ]);
    const publications = log.publications.map(({ offset, event, publishedAt, data }) => ({
      offset,
      event,
      publishedAt,
      bytes: Buffer.byteLength(JSON.stringify(data) ?? ""),
      ...(seesPayloads(role, showPayloads) ? { data } : {}),
    }));
    const { epoch, offset } = log;
    return {
      body: {
        channel: name,
        kind: kindOf(name),
        rules,
        epoch,
        offset,
        log: kept,
        publications,
        members,
        state,
        ...nodes,
      },
    };
  });
}

/** The latest publications, or the latest before an offset: read from the end, because those before may be gone. */
async function pageBefore(history: ReadHistory, channel: string, before: number | undefined) {
  const latest = await history(channel, { limit: shownPublications });
  if (before === undefined || latest.offset < before) return latest;
  const page = await history(channel, { limit: latest.offset - before + 1 + shownPublications });
  const older = page.publications.filter(({ offset }) => offset < before);
  return { ...page, publications: older.slice(-shownPublications) };
}

/** Undefined for kinds without presence. */
async function membersOf({ kinds, members }: OperatorViewDeps, channel: string) {
  if (!kinds.of(channel).presence) return undefined;
  const { count, members: listed } = await members.of(channel);
  return { count, userIds: listed.slice(0, shownMembers).map(({ userId }) => userId) };
}

/** Undefined for kinds without state. */
async function stateOf({ state }: OperatorViewDeps, channel: string, withValues: boolean) {
  const read = await state.find(channel);
  if (read === undefined) return undefined;
  const entries = Object.entries(read.entries);
  const keys = entries.slice(0, shownKeys).map(([key, { value, from, updatedAt }]) => ({
    key,
    updatedAt,
    ...(from === undefined ? {} : { userId: from.userId }),
    ...(withValues ? { value } : {}),
  }));
  return { revision: read.revision, count: entries.length, keys };
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
    ignoresKey: true,
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
  const { of, ...given } = sources;
  return route(definition, async () => {
    const { settings: own, ...rest } = await operator.settings();
    return { body: { ...rest, settings: own.map((one) => ({ ...one, ...of(one.name) })), sources: given } };
  });
}
