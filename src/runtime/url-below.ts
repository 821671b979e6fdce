/** The URL of a path of a server. A path in the address is kept, because a proxy may serve the gateway below a prefix. */
export function urlBelow(address: string, path: string): URL {
  const url = new URL(path, address);
  url.pathname = new URL(address).pathname.replace(/\/+$/, "") + url.pathname;
  return url;
}
