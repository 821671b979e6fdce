import {
  compactVerify,
  createRemoteJWKSet,
  customFetch,
  decodeProtectedHeader,
  errors,
  type CryptoKey,
  type FetchImplementation,
} from "jose";
import { GatewayError } from "../protocol/errors.ts";
import type { Clock } from "../runtime/clock.ts";
import type { Logger } from "../runtime/logger.ts";
import { createPacedWarnings } from "../runtime/paced-warnings.ts";
import { createFreshness } from "./freshness.ts";
import { KnownSignatures } from "./known-signatures.ts";
import type { CheckSignature, JwksOptions, TokenAlgorithm } from "./token-options.ts";

/** Max bytes of a key set, enough for several hundred keys. The address is trusted, but its server may break. */
const maxKeySetBytes = 1_048_576;

/** Max keys tried for a token without `kid`: each costs a signature check. */
const maxCandidates = 32;

/** Keys fetched from a JWKS address. */
export interface KeySet {
  check: CheckSignature;
  /** False if currently no token can be verified; does not wait, but reloads in the background. */
  hasKeys(): boolean;
}

/**
 * Fetches keys from the configured address only: redirects are not followed, and tokens that name an address are refused
 * earlier. An unknown `kid`, or a token without one that no key verifies, reloads the set at most once per `cooldownMs`, so
 * rotation needs no restart and made-up key ids cause no load. jose's own caching is disabled. Until the set was loaded
 * once, and when it is too old, tokens are `unavailable`.
 */
export function createKeySet(
  address: URL,
  { freshMs = 600_000, staleMs = 3_600_000, cooldownMs = 30_000, pauseMs = 1_000, timeoutMs = 3_000 }: JwksOptions,
  algorithms: readonly TokenAlgorithm[],
  { clock, log }: { clock: Clock; log?: Logger | undefined },
): KeySet {
  if (!["http:", "https:"].includes(address.protocol)) throw new Error("a JWKS address must be http or https");
  const ownRulesOff = { cacheMaxAge: Infinity, cooldownDuration: Infinity };
  const keySet = createRemoteJWKSet(address, {
    ...ownRulesOff,
    timeoutDuration: timeoutMs,
    [customFetch]: fetchBounded,
  });
  const signatures = new KnownSignatures();
  const loading = withLoadLog(reload, log);
  const freshness = createFreshness(loading.load, clock, { freshMs, staleMs, cooldownMs, pauseMs });

  /** Tokens of a key that was removed are refused from now on. */
  async function reload(): Promise<void> {
    await keySet.reload();
    signatures.forget();
  }

  async function isSigned(token: string): Promise<"yes" | "no" | "unknown key"> {
    const keys = await candidates(keySet, token);
    for (const key of keys) if (await isSignedBy(key, token, algorithms)) return "yes";
    return keys.length > 0 && decodeProtectedHeader(token).kid !== undefined ? "no" : "unknown key";
  }

  async function check(token: string): Promise<void> {
    await orKeysUnavailable(freshness.ensure(), pauseMs);
    await signatures.check(token, checkWithKeys);
  }

  async function checkWithKeys(token: string): Promise<void> {
    let outcome = await isSigned(token);
    if (outcome === "unknown key" && (await orKeysUnavailable(freshness.renew(), pauseMs)))
      outcome = await isSigned(token);
    if (outcome !== "yes") throw new Error("no key in the set verifies the signature");
  }

  function hasKeys(): boolean {
    if (freshness.isUsable()) return true;
    freshness.ensure().catch(() => undefined);
    return !loading.isFailing();
  }

  return { check, hasKeys };
}

/** The keys that match the token's header: one if it has a `kid`, perhaps several if not. */
async function candidates(keySet: ReturnType<typeof createRemoteJWKSet>, token: string): Promise<CryptoKey[]> {
  try {
    return [await keySet(decodeProtectedHeader(token))];
  } catch (error) {
    if (error instanceof errors.JWKSNoMatchingKey) return [];
    if (!(error instanceof errors.JWKSMultipleMatchingKeys)) throw error;
    const keys: CryptoKey[] = [];
    for await (const key of error) if (keys.push(key) === maxCandidates) break;
    return keys;
  }
}

async function isSignedBy(key: CryptoKey, token: string, algorithms: readonly TokenAlgorithm[]): Promise<boolean> {
  try {
    await compactVerify(token, key, { algorithms: [...algorithms] });
    return true;
  } catch {
    return false;
  }
}

/** Reads the whole body, up to the bound. The signal aborts reading too. */
const fetchBounded: FetchImplementation = async (url, options) => {
  const response = await fetch(url, options);
  const chunks: Uint8Array[] = [];
  let size = 0;
  for await (const chunk of (response.body ?? []) as AsyncIterable<Uint8Array>) {
    size += chunk.length;
    // Leaving the loop closes the connection.
    if (size > maxKeySetBytes) throw new Error(`the key set is larger than ${maxKeySetBytes} bytes`);
    chunks.push(chunk);
  }
  return new Response(Buffer.concat(chunks), { status: response.status === 200 ? 200 : 500 });
};

/** Logs failures to load the set, at most once a minute, and the recovery. */
function withLoadLog(load: () => Promise<void>, log: Logger | undefined) {
  const warn = log && createPacedWarnings(log, { everyMs: 60_000 });
  let isFailing = false;

  async function loadAndLog(): Promise<void> {
    try {
      await load();
    } catch (error) {
      isFailing = true;
      warn?.({ reason: reasonOf(error) }, "fetching the JWKS failed; retrying");
      throw error;
    }
    if (isFailing) log?.info({}, "the JWKS can be fetched again");
    isFailing = false;
  }

  return { load: loadAndLog, isFailing: () => isFailing };
}

/** Without the address, which may contain a password. */
function reasonOf(error: unknown): string {
  const cause = error instanceof Error && error.cause instanceof Error ? error.cause : undefined;
  return cause === undefined
    ? String(error)
    : `${String(error)} (${"code" in cause ? String(cause.code) : cause.name})`;
}

/** Without keys a token cannot be judged, so it is refused as `unavailable`. */
async function orKeysUnavailable<T>(loading: Promise<T>, retryAfterMs: number): Promise<T> {
  try {
    return await loading;
  } catch (cause) {
    const message = "The keys for verifying tokens cannot be fetched.";
    throw new GatewayError("unavailable", message, { retryAfterMs, cause });
  }
}
