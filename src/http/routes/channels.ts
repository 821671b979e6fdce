import type { Publication } from "../../channels/publication.ts";
import {
  channelParams,
  channelsAnswer,
  channelsQuery,
  historyAnswer,
  historyQuery,
  historyRemoved,
} from "../../protocol/publications.ts";
import type { Position } from "../../protocol/scalars.ts";
import { route, type Route } from "../route.ts";

/** Reads a channel's log; throws `unknown_channel`. */
export type ReadHistory = (
  channel: string,
  query: { since?: Position | undefined; limit?: number | undefined },
) => Promise<{ channel: string; epoch: string; offset: number; publications: Publication[] }>;

/** Channels with subscribers, on all nodes, in order of their names' bytes. */
export type ListChannels = (query: {
  prefix?: string | undefined;
  limit: number;
  cursor?: string | undefined;
}) => Promise<{ channels: { channel: string; subscribers: number }[]; cursor?: string | undefined }>;

export interface ChannelRouteDeps {
  history: ReadHistory;
  list: ListChannels;
  /** Resolves to the number of publications removed; throws `unknown_channel`. */
  clearHistory: (channel: string) => Promise<number>;
}

/** `GET /v1/channels`, and `GET` and `DELETE /v1/channels/{channel}/history`. */
export function createChannelRoutes(deps: ChannelRouteDeps): Route[] {
  return [listChannels(deps), readHistory(deps), deleteHistory(deps)];
}

function listChannels({ list }: ChannelRouteDeps): Route {
  const definition = {
    method: "get",
    path: "/v1/channels",
    operationId: "listChannels",
    tag: "Channels",
    summary: "List the channels that have subscribers.",
    description: "Cluster-wide, sorted by the bytes of their names and paginated with `cursor`.",
    query: channelsQuery,
    answer: channelsAnswer,
  } as const;

  return route(definition, async ({ query }) => ({ body: await list(query) }));
}

function readHistory({ history }: ChannelRouteDeps): Route {
  const definition = {
    method: "get",
    path: "/v1/channels/{channel}/history",
    operationId: "readHistory",
    tag: "Channels",
    summary: "Read a channel's history.",
    description:
      "Without a position, returns the latest publications. With one, returns those after it, or none if the epoch has changed.",
    refusals: ["unknown_channel"],
    params: channelParams,
    query: historyQuery,
    isRevalidated: true,
    answer: historyAnswer,
  } as const;

  return route(definition, async ({ params, query: { epoch, offset, limit } }) => {
    const since = epoch === undefined || offset === undefined ? undefined : { epoch, offset };
    return { body: await history(params.channel, { since, limit }) };
  });
}

function deleteHistory({ clearHistory }: ChannelRouteDeps): Route {
  const definition = {
    method: "delete",
    path: "/v1/channels/{channel}/history",
    operationId: "deleteHistory",
    tag: "Channels",
    summary: "Delete a channel's history.",
    description:
      "The epoch changes, so nobody recovers across the deletion, and subscribers receive `unsubscribed` with the code `unavailable`: they subscribe again.",
    refusals: ["unknown_channel"],
    params: channelParams,
    answer: historyRemoved,
  } as const;

  return route(definition, async ({ params }) => ({ body: { removed: await clearHistory(params.channel) } }));
}
