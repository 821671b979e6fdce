/** Browser origins that may connect: `"*"` for any. */
export type AllowedOrigins = "*" | readonly string[];

export interface Origins {
  /** Only browsers send an origin, so none at all is fine: whoever can leave it out can also forge it. */
  isAllowed(origin: string | undefined): boolean;
  /** What lets a page of an allowed origin read an answer. */
  corsFields(origin: string | undefined): Record<string, string>;
}

export function createOrigins(allowed: AllowedOrigins): Origins {
  if (allowed === "*") return { isAllowed: () => true, corsFields: () => ({ "Access-Control-Allow-Origin": "*" }) };
  const known = new Set(allowed.map(plainOrigin));
  const isKnown = (origin: string | undefined): boolean => origin !== undefined && known.has(origin);
  const isAllowed = (origin: string | undefined): boolean =>
    origin === undefined || isKnown(origin) || isKnown(plainOrigin(origin));
  return {
    isAllowed,
    corsFields: (origin) => (origin !== undefined && isAllowed(origin) ? fieldsFor(origin) : { Vary: "Origin" }),
  };
}

/** Cookies are allowed, for load balancers that keep a client on one node by them; they prove nothing to us. */
function fieldsFor(origin: string): Record<string, string> {
  return { "Access-Control-Allow-Origin": origin, "Access-Control-Allow-Credentials": "true", Vary: "Origin" };
}

/**
 * Scheme, host and port in one spelling; undefined for `null` and anything that is more or less than an origin. Not
 * `URL.origin`, which is "null" for the schemes of apps (`capacitor://localhost`).
 */
function plainOrigin(origin: string): string | undefined {
  if (!URL.canParse(origin)) return undefined;
  const url = new URL(origin);
  const isBare = `${url.username}${url.password}${url.search}${url.hash}` === "" && /^\/?$/.test(url.pathname);
  return isBare && url.host !== "" ? `${url.protocol}//${url.host.toLowerCase()}` : undefined;
}
