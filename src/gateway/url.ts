import { isIPv6 } from "node:net";

/** URL of a listening address for a browser on this machine. */
export function urlOf(host: string, port: number): string {
  if (host === "0.0.0.0" || host === "::") return `http://localhost:${port}`;
  // URLs cannot contain a zone (`fe80::1%eth0`).
  return `http://${isIPv6(host) ? `[${host.split("%")[0]}]` : host}:${port}`;
}
