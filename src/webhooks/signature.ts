import { createHmac, createSecretKey, type KeyObject } from "node:crypto";

const encodedKey = "whsec_";

/** The key of a secret: the base64 after `whsec_`, else the text itself. With a Buffer, `sign` would take six times as long. */
function keyOf(secret: string): KeyObject {
  const isEncoded = secret.startsWith(encodedKey);
  return createSecretKey(isEncoded ? secret.slice(encodedKey.length) : secret, isEncoded ? "base64" : "utf8");
}

/** A secret, or several during rotation: each delivery then has a signature with each of them. */
export type Secrets = string | readonly string[];

export const keysOf = (secrets: Secrets): KeyObject[] => [secrets].flat().map(keyOf);

/** The signed content; `timestamp` in epoch seconds. */
export interface Signed {
  id: string;
  timestamp: number;
  body: string;
}

/** Value of the header `webhook-signature`, in the standardwebhooks format: one signature for each key. */
export function sign(keys: readonly KeyObject[], { id, timestamp, body }: Signed): string {
  const content = `${id}.${timestamp}.${body}`;
  return keys.map((key) => `v1,${createHmac("sha256", key).update(content).digest("base64")}`).join(" ");
}
