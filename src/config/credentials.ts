import { createPublicKey } from "node:crypto";
import { quoted, type EnvironmentReader, type ReadFile } from "./environment.ts";

/** Signature algorithms a token may carry; everything else is refused before a key is touched. */
export const tokenAlgorithms = ["HS256", "RS256", "ES256", "EdDSA"] as const;
export type TokenAlgorithm = (typeof tokenAlgorithms)[number];

/** Where the keys that verify tokens come from. Only a secret lets the gateway sign tokens itself. */
export type TokenKeySource =
  | { type: "secret"; secret: string }
  | { type: "public-key"; pem: string; file: string }
  | { type: "jwks"; uri: string };

export interface TokenConfig {
  source: TokenKeySource;
  algorithms: readonly TokenAlgorithm[];
  issuer?: string;
  audience?: string;
}

/** A backend's key; the name is what logs and limits call it. */
export interface ApiKey {
  name: string;
  secret: string;
}

/** Shorter secrets can be guessed offline from one token; in production they count as missing. */
export const shortestSecretBytes = 32;

/** Known to everybody who can read this file, and therefore refused in production. */
export const developmentSecret = "tidegate-development-secret-never-for-production";
export const developmentApiKey: ApiKey = {
  name: "development",
  secret: "tidegate-development-key-never-for-production",
};

/** Settings of tokens; problems go to the reader, and what is returned then is not used. */
export function readTokenConfig(env: EnvironmentReader, readFile: ReadFile, isProduction: boolean): TokenConfig {
  const source = readKeySource(env, readFile, isProduction);
  const config: TokenConfig = { source, algorithms: readAlgorithms(env, source) };
  const issuer = env.text("JWT_ISSUER");
  const audience = env.text("JWT_AUDIENCE");
  if (issuer !== undefined) config.issuer = issuer;
  if (audience !== undefined) config.audience = audience;
  return config;
}

const sourceVariables = ["JWT_SECRET", "JWT_PUBLIC_KEY_FILE", "JWKS_URI"] as const;
const developmentSource: TokenKeySource = { type: "secret", secret: developmentSecret };

function readKeySource(env: EnvironmentReader, readFile: ReadFile, isProduction: boolean): TokenKeySource {
  const given = sourceVariables.filter((name) => env.text(name) !== undefined);
  if (given.length > 1) {
    for (const name of given) env.problem(name, `only one key source may be set, not ${given.join(" and ")}`);
  }
  if (given[0] === "JWT_PUBLIC_KEY_FILE") return readPublicKey(env, readFile);
  if (given[0] === "JWKS_URI") return readKeySet(env, isProduction);
  return readSecret(env, isProduction);
}

function readSecret(env: EnvironmentReader, isProduction: boolean): TokenKeySource {
  const secret = env.text("JWT_SECRET");
  if (isProduction && secret === undefined) {
    env.problem("JWT_SECRET", `is required in production, or one of JWT_PUBLIC_KEY_FILE and JWKS_URI`);
  } else if (isProduction && isWeak(secret)) {
    env.problem("JWT_SECRET", weakness);
  }
  return secret === undefined ? developmentSource : { type: "secret", secret };
}

const weakness = `counts as missing in production: it must have at least ${shortestSecretBytes} bytes and not be the development one`;

function isWeak(secret: string | undefined): boolean {
  if (secret === undefined || secret === developmentSecret || secret === developmentApiKey.secret) return true;
  return Buffer.byteLength(secret) < shortestSecretBytes;
}

function readPublicKey(env: EnvironmentReader, readFile: ReadFile): TokenKeySource {
  const name = "JWT_PUBLIC_KEY_FILE";
  const file = env.text(name) ?? "";
  const pem = env.file(name, file, readFile);
  if (pem?.includes("PRIVATE KEY")) {
    env.problem(name, `${quoted(file)} holds a private key; the gateway wants the public one`);
  } else if (pem !== undefined && algorithmOfKey(pem) === undefined) {
    env.problem(name, `${quoted(file)} is not the PEM of an RSA, P-256 or Ed25519 public key`);
  }
  return { type: "public-key", pem: pem ?? "", file };
}

/** The one algorithm a public key can be used with, undefined for keys of other kinds. */
function algorithmOfKey(pem: string): TokenAlgorithm | undefined {
  try {
    const key = createPublicKey(pem);
    if (key.asymmetricKeyType === "rsa") return "RS256";
    if (key.asymmetricKeyType === "ed25519") return "EdDSA";
    return key.asymmetricKeyDetails?.namedCurve === "prime256v1" ? "ES256" : undefined;
  } catch {
    // Not a key at all: said by the caller, which knows the file.
    return undefined;
  }
}

function readKeySet(env: EnvironmentReader, isProduction: boolean): TokenKeySource {
  const uri = env.text("JWKS_URI") ?? "";
  const protocols = isProduction ? ["https:"] : ["https:", "http:"];
  if (!URL.canParse(uri) || !protocols.includes(new URL(uri).protocol)) {
    env.problem("JWKS_URI", isProduction ? "must be an https:// address" : "must be an https:// or http:// address");
  }
  return { type: "jwks", uri };
}

function readAlgorithms(env: EnvironmentReader, source: TokenKeySource): TokenAlgorithm[] {
  const possible = possibleAlgorithms(source);
  const named = env.list("JWT_ALGORITHMS");
  if (named === undefined) return possible;
  const wrong = named.filter((name) => !possible.some((algorithm) => algorithm === name));
  if (wrong.length > 0 || named.length === 0) {
    env.problem(
      "JWT_ALGORITHMS",
      `with this key source it may name ${possible.join(", ")}, not ${wrong.map(quoted).join(", ")}`,
    );
  }
  return possible.filter((algorithm) => named.includes(algorithm));
}

function possibleAlgorithms(source: TokenKeySource): TokenAlgorithm[] {
  if (source.type === "secret") return ["HS256"];
  if (source.type === "jwks") return ["RS256", "ES256", "EdDSA"];
  const algorithm = algorithmOfKey(source.pem);
  return algorithm === undefined ? ["RS256", "ES256", "EdDSA"] : [algorithm];
}

/** `name:secret,…`; a name may come twice while its secret is rotated. */
export function readApiKeys(env: EnvironmentReader, isProduction: boolean): ApiKey[] {
  const entries = env.list("API_KEYS") ?? [];
  if (entries.length === 0 && isProduction) env.problem("API_KEYS", "is required in production: name:secret,…");
  if (entries.length === 0) return [developmentApiKey];
  const keys = entries.map((entry, index) => readApiKey(env, entry, index, isProduction));
  const secrets = new Set(keys.map((key) => key.secret));
  if (secrets.size < keys.length) env.problem("API_KEYS", "holds the same secret twice");
  return keys;
}

function readApiKey(env: EnvironmentReader, entry: string, index: number, isProduction: boolean): ApiKey {
  const colon = entry.indexOf(":");
  const key = { name: entry.slice(0, Math.max(colon, 0)), secret: entry.slice(colon + 1) };
  if (colon < 1 || key.secret === "" || !/^[\w.-]{1,64}$/.test(key.name)) {
    env.problem("API_KEYS", `entry ${index + 1} must read name:secret, the name of letters, digits, dots and dashes`);
  } else if (isProduction && isWeak(key.secret)) {
    env.problem("API_KEYS", `the secret of ${quoted(key.name)} ${weakness}`);
  }
  return key;
}
