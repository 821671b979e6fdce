import type { Off } from "./emitter.ts";

interface NetworkTarget {
  addEventListener(type: "online", listener: () => void): void;
  removeEventListener(type: "online", listener: () => void): void;
}

/** Calls `run` when a browser reports that the network is back; does nothing elsewhere. */
export function whenOnline(run: () => void): Off {
  const target = globalThis as Partial<NetworkTarget>;
  target.addEventListener?.("online", run);
  return () => target.removeEventListener?.("online", run);
}
