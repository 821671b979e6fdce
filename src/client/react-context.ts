import { createContext, useContext, useEffect, useMemo, useRef, useSyncExternalStore } from "react";
import type { Client } from "./gateway-client.ts";

export const ClientContext = createContext<Client | undefined>(undefined);

/** The provider's client. Throws outside of a provider. */
export function useClient(): Client {
  const client = useContext(ClientContext);
  if (client === undefined) throw new Error("Use Tidegate's hooks below <TidegateProvider client={client}>.");
  return client;
}

/** What a hook shows: `view` is a new object after each change; `open` is called while a component uses it. */
export interface ViewStore<View> {
  readonly view: View;
  open(changed: () => void): () => void;
}

export function useView<View>(store: ViewStore<View>): View {
  const open = useMemo(() => (changed: () => void) => store.open(changed), [store]);
  const view = (): View => store.view;
  return useSyncExternalStore(open, view, view);
}

/** The latest value of a property, for callbacks that outlive a rendering. */
export function useLatest<T>(value: T): { readonly current: T } {
  const latest = useRef(value);
  useEffect(() => void (latest.current = value));
  return latest;
}
