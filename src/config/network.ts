import { isIP } from "node:net";
import { plainOrigin, type AllowedOrigins } from "../engine/origins.ts";
import { quoted, type EnvironmentReader } from "./environment.ts";

/** An IPv6 address may be in brackets, as in an address with a port. */
export function readHost(env: EnvironmentReader, name: string): string | undefined {
  const host = env.text(name)?.replace(/^\[(.+)\]$/, "$1");
  if (host !== undefined && isIP(host) === 0 && !/^[\w.-]{1,253}$/.test(host))
    env.problem(name, `must be an IP address or a host name, without scheme and port, not ${quoted(host)}`);
  return host;
}

export function readAllowedOrigins(env: EnvironmentReader, isProduction: boolean): AllowedOrigins {
  const origins = env.list("ALLOWED_ORIGINS") ?? [];
  if (origins.length === 0 && isProduction) {
    env.problem("ALLOWED_ORIGINS", "is required in production: https://app.example,… (or * for any)");
  }
  if (origins.length === 0 || (origins.length === 1 && origins[0] === "*")) return "*";
  for (const origin of origins) checkOrigin(env, origin);
  return origins;
}

/** One that could never match is a mistake: browsers write an origin in one way. */
function checkOrigin(env: EnvironmentReader, origin: string): void {
  const mistake = mistakeIn(origin);
  if (mistake !== undefined) env.problem("ALLOWED_ORIGINS", `${quoted(origin)} is not an origin: ${mistake}`);
}

/** Undefined for valid origins: `https://app.example`, `capacitor://localhost`, `file://`, `null`. */
function mistakeIn(origin: string): string | undefined {
  if (origin === "null") return undefined;
  if (origin === "*") return "* allows any origin and must be the only entry";
  const plain = origin.replace("://*.", "://any.").replace(/:\*$/, "");
  if (plain.includes("*"))
    return "* is allowed only as the subdomain (https://*.example.com) or the port (http://localhost:*)";
  const [, scheme = "", host = ""] = /^([a-z][a-z\d+.-]*):\/\/(.*)$/.exec(plain) ?? [];
  const isWeb = scheme === "http" || scheme === "https";
  const isBare = plainOrigin(plain) !== undefined || (host === "" && !isWeb);
  if (scheme === "" || !isBare) return "an origin has the form https://app.example";
  return isWeb && new URL(plain).origin !== plain
    ? `browsers send it as ${new URL(plain).origin.replace("://any.", "://*.")}`
    : unsentSchemes[scheme];
}

/** Schemes that no page has as its origin. */
const unsentSchemes: Record<string, string> = {
  ws: "use the http:// origin of the page that connects to ws://",
  wss: "use the https:// origin of the page that connects to wss://",
  ftp: "a page cannot have an ftp:// origin",
};

/** Addresses and networks whose `X-Forwarded-For` counts. */
export function readTrustedProxies(env: EnvironmentReader): string[] {
  const proxies = env.list("TRUSTED_PROXIES") ?? [];
  for (const proxy of proxies) {
    if (!isNetwork(proxy)) {
      env.problem("TRUSTED_PROXIES", `${quoted(proxy)} is neither an address nor a network such as 10.0.0.0/8`);
    }
  }
  return proxies;
}

function isNetwork(value: string): boolean {
  const [address = "", bits, ...rest] = value.split("/");
  const family = isIP(address);
  if (family === 0 || rest.length > 0) return false;
  return bits === undefined || (/^\d{1,3}$/.test(bits) && Number(bits) <= (family === 4 ? 32 : 128));
}
