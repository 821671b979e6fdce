import type { ConnectionSummary } from "../protocol/operator.ts";

/** Which connections to list; all that are set must match. */
export interface ConnectionFilter {
  userId?: string | undefined;
  sessionId?: string | undefined;
  connectionId?: string | undefined;
  address?: string | undefined;
  channel?: string | undefined;
  nodeId?: string | undefined;
  transport?: string | undefined;
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
  readonly identity: { readonly userId: string; readonly sessionId: string };
}

const comparePlaces = (a: ConnectionPlace, b: ConnectionPlace): number =>
  a.connectedAt - b.connectedAt || (a.id < b.id ? -1 : a.id > b.id ? 1 : 0);

/**
 * The first `limit` of the candidates after a place. Looks at each once and keeps only `limit`, however many there are;
 * candidates come almost in order, so most are compared once.
 */
export function firstAfter<C extends ListedConnection>(
  candidates: Iterable<C>,
  { filter, after, limit }: { filter: ConnectionFilter; after: ConnectionPlace | undefined; limit: number },
): C[] {
  const first: C[] = [];
  for (const candidate of candidates) {
    if (after !== undefined && comparePlaces(candidate, after) <= 0) continue;
    const last = first.at(-1);
    if (first.length >= limit && last !== undefined && comparePlaces(candidate, last) > 0) continue;
    if (!matches(candidate, filter)) continue;
    insert(first, candidate);
    if (first.length > limit) first.pop();
  }
  return first;
}

function insert<C extends ConnectionPlace>(sorted: C[], candidate: C): void {
  let place = sorted.length;
  while (place > 0 && comparePlaces(sorted[place - 1] as C, candidate) > 0) place -= 1;
  sorted.splice(place, 0, candidate);
}

function matches({ id, identity, address, transport }: ListedConnection, filter: ConnectionFilter): boolean {
  const { userId, sessionId, connectionId, address: from, transport: over } = filter;
  return (
    (userId === undefined || identity.userId === userId) &&
    (sessionId === undefined || identity.sessionId === sessionId) &&
    (connectionId === undefined || id === connectionId) &&
    (from === undefined || address === from) &&
    (over === undefined || transport === over)
  );
}

/** Merges the pages of all nodes; the cursor leads to the next page, undefined after the last. */
export function mergePages(
  pages: readonly (readonly ConnectionSummary[])[],
  limit: number,
): { connections: ConnectionSummary[]; cursor: string | undefined } {
  const all = pages.flat().toSorted((a, b) => comparePlaces(placeOf(a), placeOf(b)));
  const connections = all.slice(0, limit);
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
