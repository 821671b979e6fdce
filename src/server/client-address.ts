import type { IncomingMessage } from "node:http";
import { BlockList, isIP, isIPv6, SocketAddress } from "node:net";

/** Where a request comes from: the peer's address, or what proxies we trust report of theirs. */
export type ClientAddress = (request: IncomingMessage) => string;

/** Hops read of `X-Forwarded-For`; it may be as long as a header can be. */
const mostHops = 16;

/**
 * `trusted` are addresses and networks (`10.0.0.0/8`). The header is read from its end: each hop counts only while the
 * one that reported it is trusted, so nobody chooses an address by sending the header.
 */
export function createClientAddress(trusted: readonly string[]): ClientAddress {
  const proxies = networks(trusted);
  const isTrusted = (address: string): boolean => proxies.check(address, isIP(address) === 6 ? "ipv6" : "ipv4");

  return (request) => {
    let address = plainAddress(request.socket.remoteAddress ?? "");
    if (trusted.length === 0) return address;
    for (const hop of forwardedHops(request)) {
      if (!isTrusted(address) || isIP(hop) === 0) return address;
      address = plainAddress(hop);
    }
    return address;
  };
}

function networks(trusted: readonly string[]): BlockList {
  const list = new BlockList();
  for (const network of trusted) {
    const [address = "", bits] = network.split("/");
    const family = isIP(address) === 6 ? "ipv6" : "ipv4";
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
    .slice(-mostHops)
    .map((hop) => withoutPort(hop.trim()))
    .toReversed();
}

/** Some proxies add the port, and brackets that keep it apart from an IPv6 address. */
function withoutPort(hop: string): string {
  if (hop.startsWith("[")) return hop.slice(1, Math.max(hop.indexOf("]"), 1));
  return hop.includes(".") ? hop.replace(/:\d+$/, "") : hop;
}

/** One spelling for one address: an IPv4 address that came over IPv6, in whatever digits, is that IPv4 address. */
function plainAddress(address: string): string {
  if (!address.includes(":") || address.includes("%")) return address.toLowerCase();
  if (mappedV4.test(address)) return address.slice(address.lastIndexOf(":") + 1);
  if (!isIPv6(address)) return address.toLowerCase();
  return new SocketAddress({ address, family: "ipv6" }).address.replace(mappedV4, "");
}

/** As the system writes it, and this function. */
const mappedV4 = /^::ffff:(?=\d+\.)/;
