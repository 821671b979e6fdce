import type { Config } from "../config.ts";

const masked = "********";

/**
 * The configuration for display. Secrets are recognized by the setting's name, so that future ones are masked too; in
 * URLs, passwords, queries and the later parts of webhook paths are masked.
 */
export function maskSecrets(config: Partial<Config>): object {
  return maskIn(config) as object;
}

/** Of settings that hold a secret, alone or in a list. */
const secretName =
  /(?:secret|password|passphrase|credential|private|authorization)s?$|^(?:key|pass|auth|token|cookie)s?$/i;
/** Of settings that hold an address. */
const addressName = /ur[il]s?$/i;

function maskIn(value: unknown, name = ""): unknown {
  if (typeof value === "string") {
    if (secretName.test(name)) return masked;
    return addressName.test(name) || hasPassword(value) ? maskAddress(value, name) : value;
  }
  if (Array.isArray(value)) return value.map((item) => maskIn(item, name));
  if (typeof value !== "object" || value === null) return value;
  return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, maskIn(item, key)]));
}

const hasPassword = (text: string): boolean => URL.canParse(text) && new URL(text).password !== "";

function maskAddress(text: string, name: string): string {
  if (!URL.canParse(text)) return masked;
  const url = new URL(text);
  if (url.password !== "") url.password = masked;
  // A key that stands alone before the @ is the user's name.
  else if (url.username !== "") url.username = masked;
  for (const name of new Set(url.searchParams.keys())) url.searchParams.set(name, masked);
  if (url.hash !== "") url.hash = masked;
  // Where a key set is found is no secret.
  if (/^https?:$/.test(url.protocol) && name !== "uri") url.pathname = maskPath(url.pathname);
  return url.href;
}

/** Receivers put keys into webhook paths. A plain word before them is not a key. */
function maskPath(path: string): string {
  const [first = "", ...rest] = path.split("/").slice(1);
  const isWord = /^(?:[a-z]{0,12}|v\d)$/.test(first);
  return `/${[isWord ? first : masked, ...rest.map((part) => (part === "" ? "" : masked))].join("/")}`;
}
