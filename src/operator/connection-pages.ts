import type { ConnectionSummary } from "../protocol/operator/operator.ts";

/** Which connections to list; all that are set must match. */
export interface ConnectionFilter {
  userId?: string | undefined;
  sessionId?: string | undefined;
  connectionId?: string | undefined;
  address?: string | undefined;
  channel?: string | undefined;
  nodeId?: string | undefined;
  transport?: string | undefined;
  /** Text that the user agent contains, in any case. */
  client?: string | undefined;
}

/** A place in the order of all connections: by when they were made, then by id. */
export interface ConnectionPlace {
  connectedAt: number;
  id: string;
}

/** What is needed of a connection to select and order it. */
export interface ListedConnection extends ConnectionPlace {
  readonly address: string;
  readonly transport: string;
  readonly userAgent?: string | undefined;
  readonly identity: { readonly userId: string; readonly sessionId: string };
}

const comparePlaces = (a: ConnectionPlace, b: ConnectionPlace): number =>
  a.connectedAt - b.connectedAt || (a.id < b.id ? -1 : a.id > b.id ? 1 : 0);

/** What the largest come first by; by age, the oldest come first and can be paged. */
export type ConnectionSort = "age" | "queue" | "channels";

type Compare<C> = (a: C, b: C) => number;

/** The largest first, equal ones by place. */
export const byWeight =
  <C extends ConnectionPlace>(weightOf: (connection: C) => number): Compare<C> =>
  (a, b) =>
    weightOf(b) - weightOf(a) || comparePlaces(a, b);

/**
 * The first `limit` of the candidates after a place, in the order of `compare`, by default of places. Looks at each once and keeps only `limit`, however many there are;
 * candidates come almost in order, so most are compared once.
 */
export function firstAfter<C extends ListedConnection>(
  candidates: Iterable<C>,
  { filter, after, limit }: { filter: ConnectionFilter; after: ConnectionPlace | undefined; limit: number },
  compare: Compare<C> = comparePlaces,
): C[] {
  const first: C[] = [];
  for (const candidate of candidates) {
    if (after !== undefined && comparePlaces(candidate, after) <= 0) continue;
    const last = first.at(-1);
    if (first.length >= limit && last !== undefined && compare(candidate, last) > 0) continue;
    if (!matches(candidate, filter)) continue;
    insert(first, candidate, compare);
    if (first.length > limit) first.pop();
  }
  return first;
}

function insert<C>(sorted: C[], candidate: C, compare: Compare<C>): void {
  let place = sorted.length;
  while (place > 0 && compare(sorted[place - 1] as C, candidate) > 0) place -= 1;
  sorted.splice(place, 0, candidate);
}

function matches(connection: ListedConnection, filter: ConnectionFilter): boolean {
  const { id, identity, address, transport, userAgent = "" } = connection;
  const { userId, sessionId, connectionId, address: from, transport: over, client } = filter;
  return (
    (userId === undefined || identity.userId === userId) &&
    (sessionId === undefined || identity.sessionId === sessionId) &&
    (connectionId === undefined || id === connectionId) &&
    (from === undefined || address === from) &&
    (over === undefined || transport === over) &&
    (client === undefined || userAgent.toLowerCase().includes(client.toLowerCase()))
  );
}

/** Merges the pages of all nodes; the cursor leads to the next page, undefined after the last and for other sorts than age. */
export function mergePages(
  pages: readonly (readonly ConnectionSummary[])[],
  limit: number,
  sort: ConnectionSort = "age",
): { connections: ConnectionSummary[]; cursor: string | undefined } {
  const weightOf = (one: ConnectionSummary): number =>
    sort === "age" ? 0 : sort === "queue" ? one.queuedBytes : one.channels.length;
  const all = pages.flat().toSorted((a, b) => weightOf(b) - weightOf(a) || comparePlaces(placeOf(a), placeOf(b)));
  const connections = all.slice(0, limit);
  if (sort !== "age") return { connections, cursor: undefined };
  const last = connections.at(-1);
  return { connections, cursor: all.length > limit && last !== undefined ? cursorOf(placeOf(last)) : undefined };
}

const placeOf = ({ connectedAt, connectionId }: ConnectionSummary): ConnectionPlace => ({
  connectedAt,
  id: connectionId,
});

const cursorOf = ({ connectedAt, id }: ConnectionPlace): string => `${connectedAt}.${id}`;

/** Undefined for anything but a cursor of `mergePages`. */
export function placeFrom(cursor: string): ConnectionPlace | undefined {
  const [, time, id] = /^(\d{1,16})\.([\w-]{1,64})$/.exec(cursor) ?? [];
  return time === undefined || id === undefined ? undefined : { connectedAt: Number(time), id };
}
