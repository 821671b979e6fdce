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
import type { CheckSignature, JwksOptions, TokenAlgorithm } from "./token-options.ts";

/** Bytes of a key set: several hundred keys. The address is configured, what stands behind it may break all the same. */
const maxKeySetBytes = 1_048_576;

/** Keys that are tried for a token which does not name its own: each costs the check of a signature. */
const maxCandidates = 32;

/** Keys that are read from elsewhere. */
export interface KeySet {
  check: CheckSignature;
  /** False where no token can be verified, as far as is known without waiting; looks again behind the caller's back. */
  hasKeys(): boolean;
}

/**
 * Keys of one configured address, which alone is ever asked: no redirect is followed, and what a header names has been
 * refused before. A `kid` nobody knows, or a token without one that no key signed, reads the set again, at most once a
 * `cooldownMs`, so that rotation needs no restart and a stranger with made-up names cannot drive it. When it is read is
 * ours to say, so jose's own rules are off. Until it could be read once, and when it is too old, tokens are `unavailable`.
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
  const loading = withLoadLog(() => keySet.reload(), log);
  const freshness = createFreshness(loading.load, clock, { freshMs, staleMs, cooldownMs, pauseMs });

  async function isSigned(token: string): Promise<"yes" | "no" | "unknown key"> {
    const keys = await candidates(keySet, token);
    for (const key of keys) if (await isSignedBy(key, token, algorithms)) return "yes";
    return keys.length > 0 && decodeProtectedHeader(token).kid !== undefined ? "no" : "unknown key";
  }

  async function check(token: string): Promise<void> {
    await orKeysUnavailable(freshness.ensure(), pauseMs);
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

/** The keys that fit the token's header: one where it names it, perhaps several where it does not. */
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

/** The whole answer, up to the bound. The signal ends the reading of it too. */
const fetchBounded: FetchImplementation = async (url, options) => {
  const response = await fetch(url, options);
  const chunks: Uint8Array[] = [];
  let size = 0;
  for await (const chunk of (response.body ?? []) as AsyncIterable<Uint8Array>) {
    size += chunk.length;
    // Leaving the loop ends the connection.
    if (size > maxKeySetBytes) throw new Error(`the key set is larger than ${maxKeySetBytes} bytes`);
    chunks.push(chunk);
  }
  return new Response(Buffer.concat(chunks), { status: response.status === 200 ? 200 : 500 });
};

/** Says so, at a pace, while the set cannot be read, and when it can again. */
function withLoadLog(load: () => Promise<void>, log: Logger | undefined) {
  const warn = log && createPacedWarnings(log, { everyMs: 60_000 });
  let isFailing = false;

  async function loadAndTell(): Promise<void> {
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

  return { load: loadAndTell, isFailing: () => isFailing };
}

/** Without the address, in which there may be a password. */
function reasonOf(error: unknown): string {
  const cause = error instanceof Error && error.cause instanceof Error ? error.cause : undefined;
  return cause === undefined
    ? String(error)
    : `${String(error)} (${"code" in cause ? String(cause.code) : cause.name})`;
}

/** Without keys nothing is known of a token, so the refusal does not say that it is bad. */
async function orKeysUnavailable<T>(loading: Promise<T>, retryAfterMs: number): Promise<T> {
  try {
    return await loading;
  } catch (cause) {
    const message = "The keys for verifying tokens cannot be fetched.";
    throw new GatewayError("unavailable", message, { retryAfterMs, cause });
  }
}
