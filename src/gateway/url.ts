import { isIPv6 } from "node:net";

/** Where a browser on this machine finds what listens there. */
export function urlOf(host: string, port: number): string {
  if (host === "0.0.0.0" || host === "::") return `http://localhost:${port}`;
  // A zone (`fe80::1%eth0`) has no place in an address of a browser.
  return `http://${isIPv6(host) ? `[${host.split("%")[0]}]` : host}:${port}`;
}
