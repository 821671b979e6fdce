/**
 * Browser origins that may connect: `"*"` for any. One that reads `https://*.example.com` stands for every subdomain,
 * `http://localhost:*` for every port.
 */
export type AllowedOrigins = "*" | readonly string[];

/** Header fields of a request. */
export interface OriginFields {
  origin?: string | undefined;
  host?: string | undefined;
}

export interface Origins {
  /**
   * Only browsers have to send an origin, so none at all is fine: whoever can leave it out can also forge it. The address
   * that a request was sent to is fine as well: native apps name it, and pages of that origin are the gateway's own.
   */
  isAllowed(fields: OriginFields): boolean;
  /** Header fields that let a page of an allowed origin read a response. */
  corsFields(fields: OriginFields): Record<string, string>;
}

export function createOrigins(allowed: AllowedOrigins): Origins {
  if (allowed === "*") return { isAllowed: () => true, corsFields: () => ({ "Access-Control-Allow-Origin": "*" }) };
  const known = new Set(allowed.map((origin) => plainOrigin(origin) ?? origin));
  const matchers = allowed.filter((origin) => origin.includes("*")).map(matcherOf);

  function isListed(origin: string): boolean {
    if (known.has(origin)) return true;
    const plain = plainOrigin(origin);
    return plain !== undefined && (known.has(plain) || matchers.some((matches) => matches(plain)));
  }

  const isAllowed = ({ origin, host }: OriginFields): boolean =>
    origin === undefined || isListed(origin) || isOwn(origin, host);
  return {
    isAllowed,
    corsFields: (fields) =>
      fields.origin !== undefined && isAllowed(fields) ? fieldsFor(fields.origin) : { Vary: "Origin" },
  };
}

/**
 * Cookies are allowed, for load balancers that keep a client on one node by them; they prove nothing to us. Not for
 * `null`, which is the origin of every sandboxed page.
 */
function fieldsFor(origin: string): Record<string, string> {
  const fields = { "Access-Control-Allow-Origin": origin, Vary: "Origin" };
  return origin === "null" ? fields : { ...fields, "Access-Control-Allow-Credentials": "true" };
}

/**
 * Whether the origin is the address the request was sent to, which a page of somebody else cannot have. The scheme is not
 * compared: TLS may have ended at any proxy in front.
 */
function isOwn(origin: string, host: string | undefined): boolean {
  const plain = plainOrigin(origin);
  const [, scheme] = /^(https?):/.exec(plain ?? "") ?? [];
  return scheme !== undefined && host !== undefined && plainOrigin(`${scheme}://${host}`) === plain;
}

/**
 * Scheme, host and port in one spelling; undefined for `null` and anything that is more or less than an origin. Not
 * `URL.origin`, which is "null" for the schemes of apps (`capacitor://localhost`).
 */
export function plainOrigin(origin: string): string | undefined {
  if (!URL.canParse(origin)) return undefined;
  const url = new URL(origin);
  const isBare = `${url.username}${url.password}${url.search}${url.hash}` === "" && /^\/?$/.test(url.pathname);
  return isBare && url.host !== "" ? `${url.protocol}//${url.host.toLowerCase()}` : undefined;
}

/** A `*` before the first dot is one label of a name or more, one in the place of a port any port or none. */
function matcherOf(pattern: string): (origin: string) => boolean {
  const isAnyPort = pattern.endsWith(":*");
  const [scheme, host = ""] = pattern.replace(/:\*$/, "").split("://");
  const isHost = (name: string): boolean =>
    host.startsWith("*.") ? name.length >= host.length && name.endsWith(host.slice(1)) : name === host;
  return (origin) => {
    const [otherScheme, other = ""] = origin.split("://");
    return otherScheme === scheme && isHost(isAnyPort ? other.replace(/:\d+$/, "") : other);
  };
}
