import { createSecureContext } from "node:tls";
import type { RedisTls } from "../redis/addresses.ts";
import type { EnvironmentReader, ReadFile } from "./environment.ts";

const files = { ca: "REDIS_TLS_CA_FILE", cert: "REDIS_TLS_CERT_FILE", key: "REDIS_TLS_KEY_FILE" } as const;

/** Certificates for connections to Redis; undefined if none are configured. `isTls`: an address uses TLS. */
export function readTls(env: EnvironmentReader, readFile: ReadFile, isTls: boolean): RedisTls | undefined {
  const serverName = env.text("REDIS_TLS_SERVER_NAME");
  const named = [...Object.values(files), "REDIS_TLS_SERVER_NAME"].filter((name) => env.text(name) !== undefined);
  if (named.length === 0) return undefined;
  if (!isTls) for (const name of named) env.problem(name, "requires rediss:// or REDIS_TLS=true");
  const tls = {
    ...readPem(env, "ca", readFile),
    ...readPem(env, "cert", readFile),
    ...readPem(env, "key", readFile),
    ...(serverName === undefined ? {} : { serverName }),
  };
  checkPair(env);
  checkUsable(env, tls);
  return tls;
}

function readPem(env: EnvironmentReader, part: keyof typeof files, readFile: ReadFile): RedisTls {
  const path = env.text(files[part]);
  const pem = path === undefined ? undefined : env.file(files[part], path, readFile);
  return pem === undefined ? {} : { [part]: pem };
}

function checkPair(env: EnvironmentReader): void {
  const [cert, key] = [env.text(files.cert), env.text(files.key)];
  if (cert !== undefined && key === undefined) env.problem(files.key, `is required with ${files.cert}`);
  if (key !== undefined && cert === undefined) env.problem(files.cert, `is required with ${files.key}`);
}

/** OpenSSL's own judgement, now instead of at the first connection. */
function checkUsable(env: EnvironmentReader, { ca, cert, key }: RedisTls): void {
  const isUsable = (pems: RedisTls): boolean => {
    try {
      createSecureContext(pems);
      return true;
    } catch {
      return false;
    }
  };
  if (ca !== undefined && (!ca.includes("BEGIN CERTIFICATE") || !isUsable({ ca })))
    env.problem(files.ca, "is not a certificate in PEM format");
  if (cert !== undefined && !isUsable({ cert })) env.problem(files.cert, "is not a certificate in PEM format");
  else if (key !== undefined && !isUsable({ key })) env.problem(files.key, "is not a private key in PEM format");
  else if (cert !== undefined && key !== undefined && !isUsable({ cert, key }))
    env.problem(files.key, `does not match the certificate in ${files.cert}`);
}
