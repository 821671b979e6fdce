import type { Off } from "./emitter.ts";

interface NetworkTarget {
  addEventListener(type: "online", listener: () => void): void;
  removeEventListener(type: "online", listener: () => void): void;
}

/** Browsers tell when the network is back; elsewhere nobody does. */
export function whenOnline(run: () => void): Off {
  const target = globalThis as Partial<NetworkTarget>;
  target.addEventListener?.("online", run);
  return () => target.removeEventListener?.("online", run);
}
