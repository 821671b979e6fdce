import { algorithmsOf, type TokenAlgorithm, type TokenKeySource, type TokenOptions } from "../auth/token-options.ts";
import type { OperatorAccount } from "../operator/operators.ts";
import { operatorRoles } from "../protocol/operator/operator.ts";
import { quoted, type EnvironmentReader, type ReadFile } from "./environment.ts";

/** An API key of a backend; logs and limits use its name. */
export interface ApiKey {
  name: string;
  secret: string;
}

/** Shorter secrets can be guessed offline from one token; in production they count as missing. */
export const minSecretBytes = 32;

/** Public knowledge, and therefore refused in production. */
export const developmentSecret = "tidegate-development-secret-never-for-production";
export const developmentApiKey: ApiKey = {
  name: "development",
  secret: "tidegate-development-key-never-for-production",
};

/** The part of TokenOptions that is read from the environment. */
export type TokenSettings = Pick<TokenOptions, "source" | "algorithms" | "issuer" | "audience">;

/** Reads the settings of tokens and reports problems to the reader. */
export function readTokenSettings(env: EnvironmentReader, readFile: ReadFile, isProduction: boolean): TokenSettings {
  const source = readKeySource(env, readFile, isProduction);
  return {
    source,
    algorithms: readAlgorithms(env, source),
    issuer: env.text("JWT_ISSUER"),
    audience: env.text("JWT_AUDIENCE"),
  };
}

const sourceVariables = ["JWT_SECRET", "JWT_PUBLIC_KEY_FILE", "JWKS_URI"] as const;

/** Whether anybody can sign tokens. */
export const isDevelopmentSource = (source: TokenKeySource): boolean =>
  source.type === "secret" && [source.secret, ...(source.additionalSecrets ?? [])].includes(developmentSecret);

function readKeySource(env: EnvironmentReader, readFile: ReadFile, isProduction: boolean): TokenKeySource {
  const given = sourceVariables.filter((name) => env.text(name) !== undefined);
  if (given.length > 1) {
    for (const name of given) env.problem(name, `only one key source may be set, not ${given.join(" and ")}`);
  }
  const additional = readAdditionalSecrets(env, isProduction);
  if (given[0] === "JWT_PUBLIC_KEY_FILE") return readPublicKey(env, readFile);
  if (given[0] === "JWKS_URI") return readKeySet(env, isProduction);
  return withAdditional(readSecret(env, isProduction), additional);
}

/** Only beside `JWT_SECRET`: without it, whoever reads them would think that they are in use. */
function readAdditionalSecrets(env: EnvironmentReader, isProduction: boolean): readonly string[] {
  const name = "JWT_ADDITIONAL_SECRETS";
  const secrets = env.list(name) ?? [];
  if (secrets.length > 0 && env.text("JWT_SECRET") === undefined) env.problem(name, "requires JWT_SECRET");
  if (secrets.length > maxAdditionalSecrets) env.problem(name, `must have at most ${maxAdditionalSecrets} entries`);
  const weak = isProduction ? secrets.findIndex(isWeak) : -1;
  if (weak >= 0) env.problem(name, `entry ${weak + 1} ${weakness}`);
  return secrets;
}

/** Each costs a check for tokens whose signature is wrong. */
const maxAdditionalSecrets = 8;

const withAdditional = (source: TokenKeySource, additionalSecrets: readonly string[]): TokenKeySource =>
  source.type === "secret" && additionalSecrets.length > 0 ? { ...source, additionalSecrets } : source;

function readSecret(env: EnvironmentReader, isProduction: boolean): TokenKeySource {
  const secret = env.text("JWT_SECRET");
  if (isProduction && secret === undefined) {
    env.problem("JWT_SECRET", `is required in production, unless JWT_PUBLIC_KEY_FILE or JWKS_URI is set`);
  } else if (isProduction && isWeak(secret)) {
    env.problem("JWT_SECRET", weakness);
  }
  return { type: "secret", secret: secret ?? developmentSecret };
}

const weakness = `is too weak for production: it must have at least ${minSecretBytes} bytes and must not be a development default`;

function isWeak(secret: string | undefined): boolean {
  if (secret === undefined || secret === developmentSecret || secret === developmentApiKey.secret) return true;
  return Buffer.byteLength(secret) < minSecretBytes;
}

function readPublicKey(env: EnvironmentReader, readFile: ReadFile): TokenKeySource {
  const name = "JWT_PUBLIC_KEY_FILE";
  const file = env.text(name) ?? "";
  const pem = env.file(name, file, readFile);
  if (pem?.includes("PRIVATE KEY")) {
    env.problem(name, `${quoted(file)} contains a private key; use the public key`);
  } else if (pem !== undefined && possibleAlgorithms({ type: "public-key", pem }).length === 0) {
    const accepted = "RSA with at least 2048 bits, P-256 or Ed25519";
    env.problem(name, `${quoted(file)} is not a public key in PEM format, or several of them (${accepted})`);
  }
  return { type: "public-key", pem: pem ?? "" };
}

function readKeySet(env: EnvironmentReader, isProduction: boolean): TokenKeySource {
  const uri = env.text("JWKS_URI") ?? "";
  const protocols = isProduction ? ["https:"] : ["https:", "http:"];
  if (!URL.canParse(uri) || !protocols.includes(new URL(uri).protocol)) {
    env.problem("JWKS_URI", isProduction ? "must be an https:// URL" : "must be an https:// or http:// URL");
  }
  return { type: "jwks", uri };
}

function readAlgorithms(env: EnvironmentReader, source: TokenKeySource): TokenAlgorithm[] {
  const possible = possibleAlgorithms(source);
  const named = env.list("JWT_ALGORITHMS");
  if (named === undefined || possible.length === 0) return possible;
  const wrong = named.filter((name) => !possible.some((algorithm) => algorithm === name));
  if (wrong.length > 0 || named.length === 0) {
    const words = `this key source supports only ${possible.join(", ")}`;
    env.problem("JWT_ALGORITHMS", `${words}, not ${wrong.map(quoted).join(", ")}`);
  }
  return possible.filter((algorithm) => named.includes(algorithm));
}

/** Empty if the file contains no key, which has already been reported. */
function possibleAlgorithms(source: TokenKeySource): TokenAlgorithm[] {
  try {
    return algorithmsOf(source);
  } catch {
    return [];
  }
}

/** `name:secret,…`; a name may appear several times during rotation. */
export function readApiKeys(env: EnvironmentReader, isProduction: boolean): ApiKey[] {
  const entries = env.list("API_KEYS") ?? [];
  if (entries.length === 0 && isProduction) env.problem("API_KEYS", "is required in production: name:secret,…");
  if (entries.length === 0) return [developmentApiKey];
  const keys = entries.map((entry, index) => readApiKey(env, entry, index, isProduction));
  const secrets = new Set(keys.map((key) => key.secret));
  if (secrets.size < keys.length) env.problem("API_KEYS", "contains the same secret twice");
  return keys;
}

function readApiKey(env: EnvironmentReader, entry: string, index: number, isProduction: boolean): ApiKey {
  const colon = entry.indexOf(":");
  const key = { name: entry.slice(0, Math.max(colon, 0)), secret: entry.slice(colon + 1) };
  if (colon < 1 || key.secret === "" || !/^[\w.-]{1,64}$/.test(key.name)) {
    env.problem(
      "API_KEYS",
      `entry ${index + 1} must be name:secret; the name may contain letters, digits, dots and dashes`,
    );
  } else if (isProduction && isWeak(key.secret)) {
    env.problem("API_KEYS", `the secret of ${quoted(key.name)} ${weakness}`);
  }
  return key;
}

/** `name:secret:role,…`; the role is `viewer` or `admin`. */
export function readOperators(env: EnvironmentReader, isProduction: boolean): OperatorAccount[] {
  const entries = env.list("OPERATORS") ?? [];
  const operators = entries.map((entry, index) => readOperator(env, entry, index, isProduction));
  const secrets = new Set(operators.map(({ secret }) => secret));
  if (secrets.size < operators.length) env.problem("OPERATORS", "contains the same secret twice");
  return operators;
}

function readOperator(env: EnvironmentReader, entry: string, index: number, isProduction: boolean): OperatorAccount {
  const [, name = "", secret = "", role = ""] = /^([^:]*):(.*):([^:]*)$/.exec(entry) ?? [];
  const known = operatorRoles.find((one) => one === role);
  if (!/^[\w.-]{1,64}$/.test(name) || secret === "" || known === undefined)
    env.problem("OPERATORS", `entry ${index + 1} must be name:secret:role; the role is ${operatorRoles.join(" or ")}`);
  else if (isProduction && isWeak(secret)) env.problem("OPERATORS", `the secret of ${quoted(name)} ${weakness}`);
  return { name, secret, role: known ?? "viewer" };
}
