import { createHmac } from "node:crypto";

const encodedKey = "whsec_";

/** The key of a secret: the base64 after `whsec_`, else the text itself. */
export function keyOf(secret: string): Buffer {
  return secret.startsWith(encodedKey)
    ? Buffer.from(secret.slice(encodedKey.length), "base64")
    : Buffer.from(secret, "utf8");
}

/** The signed content; `timestamp` in epoch seconds. */
export interface Signed {
  id: string;
  timestamp: number;
  body: string;
}

/** Value of the header `webhook-signature`, in the standardwebhooks format. */
export function sign(key: Buffer, { id, timestamp, body }: Signed): string {
  return `v1,${createHmac("sha256", key).update(`${id}.${timestamp}.${body}`).digest("base64")}`;
}
