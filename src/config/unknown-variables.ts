import type { Environment } from "./environment.ts";
import type { Problem } from "./problems.ts";
import { nearest } from "./suggestion.ts";

/** Prefixes that only this program uses. */
const ourPrefix = /^(?:TIDEGATE|GATEWAY)_/i;
/** Set by Kubernetes in every container if a service has the same name as this program. */
const serviceLink = /_(?:SERVICE_HOST|SERVICE_PORT\w*|PORT_\d+_(?:TCP|UDP)\w*)=|_PORT=(?:tcp|udp):/;
/** Variables of other programs, and one that the primary process sets for its workers. */
const foreign = new Set(["NODE_IP", "TIDEGATE_WORKER"]);

/** Shorter names are near to too many others. */
const minLength = 6;
const maxLength = 64;

/**
 * Variables that nobody reads and that were meant for us, by their looks: one letter in four is wrong at most, or the case,
 * or they begin as ours do. Their values are not shown.
 */
export function unknownVariables(environment: Environment, known: readonly string[]): Problem[] {
  return Object.entries(environment).flatMap(([name, value = ""]) => {
    const isForeign = foreign.has(name) || serviceLink.test(`${name}=${value}`);
    if (value.trim() === "" || known.includes(name) || isForeign) return [];
    const meant = meantBy(name.slice(0, maxLength), known);
    if (meant === undefined && !ourPrefix.test(name)) return [];
    const suggestion = meant === undefined ? "" : `; did you mean ${meant}?`;
    return [{ name, message: `is not a setting of the gateway${suggestion}` }];
  });
}

function meantBy(name: string, known: readonly string[]): string | undefined {
  const bare = name.replace(ourPrefix, "").toUpperCase();
  if (known.includes(bare)) return bare;
  return name.length < minLength ? undefined : nearest(name, known, Math.floor(name.length / 4));
}
