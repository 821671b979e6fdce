import { isIP } from "node:net";
import { quoted, type EnvironmentReader } from "./environment.ts";

/** Browser origins that may connect: `"*"` for any. */
export type AllowedOrigins = "*" | readonly string[];

export function readAllowedOrigins(env: EnvironmentReader, isProduction: boolean): AllowedOrigins {
  const origins = env.list("ALLOWED_ORIGINS") ?? [];
  if (origins.length === 0 && isProduction) {
    env.problem("ALLOWED_ORIGINS", "is required in production: https://app.example,… (or * for any)");
  }
  if (origins.length === 0 || (origins.length === 1 && origins[0] === "*")) return "*";
  for (const origin of origins) checkOrigin(env, origin);
  return origins;
}

/** An origin is compared letter by letter with what browsers send, so it must be written the way they write it. */
function checkOrigin(env: EnvironmentReader, origin: string): void {
  const written = URL.canParse(origin) ? new URL(origin).origin : "null";
  if (written === origin && written !== "null") return;
  const hint = written === "null" ? "an origin reads https://app.example" : `browsers write it ${written}`;
  env.problem("ALLOWED_ORIGINS", `${quoted(origin)} is not an origin: ${hint}`);
}

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
