import { createElement, type ReactElement, type ReactNode, useMemo } from "react";
import type { Ready } from "../protocol/wire.ts";
import type { ClientState } from "./base-client.ts";
import type { Client } from "./gateway-client.ts";
import { ClientContext, useClient, useView, type ViewStore } from "./react-context.ts";

/**
 * React hooks of the client. Components that use the same channel, board or order share one subscription, which ends with
 * the last of them.
 */

export { useClient } from "./react-context.ts";
export { type ShownChannel, useChannel, type UseChannelOptions, usePresence } from "./react-channel.ts";
export {
  type ShownLeaderboard,
  type ShownOrder,
  type ShownState,
  useChannelState,
  useLeaderboard,
  useOpenOrders,
  useOrder,
  useText,
} from "./react-views.ts";

/** Makes a client available to the hooks below it. Closing the client remains yours. */
export function TidegateProvider({ client, children }: { client: Client; children?: ReactNode }): ReactElement {
  return createElement(ClientContext.Provider, { value: client }, children);
}

export interface ShownConnection {
  state: ClientState;
  /** Node, user and session, once connected. */
  ready: Ready | undefined;
}

/** Whether the client is connected, and as whom. */
export function useConnection(): ShownConnection {
  const client = useClient();
  return useView(useMemo(() => connectionStore(client), [client]));
}

function connectionStore(client: Client): ViewStore<ShownConnection> {
  const read = (): ShownConnection => ({ state: client.state, ready: client.ready });
  let view = read();
  return {
    get view() {
      if (view.state !== client.state || view.ready !== client.ready) view = read();
      return view;
    },
    open(changed) {
      const offs = [client.on("state", changed), client.on("ready", changed)];
      return () => offs.forEach((off) => off());
    },
  };
}
