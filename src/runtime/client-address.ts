import type { IncomingMessage } from "node:http";
import { BlockList, isIP, isIPv6, SocketAddress } from "node:net";
import type { Logger } from "./logger.ts";
import { createPacedWarnings } from "./paced-warnings.ts";

/** The client's address: the peer's, or the one reported by trusted proxies. */
export type ClientAddress = (request: IncomingMessage) => string;

/** Max hops read from `X-Forwarded-For`. */
const maxHops = 16;

/**
 * `trusted` are addresses and networks (`10.0.0.0/8`). The header is read from its end: each hop counts only while
 * the address that reported it is trusted, so clients cannot choose their address. Headers from untrusted peers are logged
 * once a minute.
 */
export function createClientAddress(trusted: readonly string[], log?: Logger): ClientAddress {
  const isTrusted = createIsTrusted(trusted);
  const warn = log && createPacedWarnings(log, { everyMs: 60_000 });

  return (request) => {
    const peer = plainAddress(request.socket.remoteAddress ?? "");
    if (request.headers["x-forwarded-for"] === undefined) return peer;
    if (!isTrusted(peer)) {
      warn?.({ peer }, notTrusted);
      return peer;
    }
    return clientOf(peer, forwardedHops(request), isTrusted);
  };
}

/** For addresses in the form of `plainAddress`. */
export function createIsTrusted(trusted: readonly string[]): (address: string) => boolean {
  if (trusted.length === 0) return () => false;
  const proxies = networks(trusted);
  return (address) => proxies.check(...addressAndFamily(address));
}

const notTrusted =
  "ignored X-Forwarded-For from an address that is not in TRUSTED_PROXIES: " +
  "if it is your proxy, add it, or all its clients share one address and its limits";

function clientOf(peer: string, hops: readonly string[], isTrusted: (address: string) => boolean): string {
  let address = peer;
  for (const hop of hops) {
    if (!isTrusted(address) || isIP(hop) === 0) return address;
    address = plainAddress(hop);
  }
  return address;
}

/** Without the zone (`fe80::1%eth0`), which names a local interface. */
function addressAndFamily(address: string): [string, "ipv4" | "ipv6"] {
  const [plain = ""] = address.split("%");
  return [plain, isIP(plain) === 6 ? "ipv6" : "ipv4"];
}

function networks(trusted: readonly string[]): BlockList {
  const list = new BlockList();
  for (const network of trusted) {
    const [written = "", bits] = network.split("/");
    const [address, family] = addressAndFamily(written);
    if (bits === undefined) list.addAddress(address, family);
    else list.addSubnet(address, Number(bits), family);
  }
  return list;
}

/** Nearest hop first. */
function forwardedHops(request: IncomingMessage): string[] {
  const header = request.headers["x-forwarded-for"];
  if (typeof header !== "string") return [];
  return header
    .split(",")
    .slice(-maxHops)
    .map((hop) => withoutPort(hop.trim()))
    .toReversed();
}

/** Some proxies add the port, with brackets around an IPv6 address. */
function withoutPort(hop: string): string {
  if (hop.startsWith("[")) return hop.slice(1, Math.max(hop.indexOf("]"), 1));
  return hop.includes(".") ? hop.replace(/:\d+$/, "") : hop;
}

/** The canonical form of an address; an IPv4-mapped IPv6 address becomes the IPv4 address. */
export function plainAddress(address: string): string {
  if (!address.includes(":") || address.includes("%")) return address.toLowerCase();
  if (mappedV4.test(address)) return address.slice(address.lastIndexOf(":") + 1);
  if (!isIPv6(address)) return address.toLowerCase();
  return new SocketAddress({ address, family: "ipv6" }).address.replace(mappedV4, "");
}

/** The form that the system and this function write. */
const mappedV4 = /^::ffff:(?=\d+\.)/;
