import { hash } from "node:crypto";

/** A digest of a JSON value, independent of the order of keys. */
export function fingerprint(value: unknown): string {
  return hash("sha256", JSON.stringify(value, sortKeys), "base64url");
}

function sortKeys(_key: string, value: unknown): unknown {
  if (typeof value !== "object" || value === null || Array.isArray(value)) return value;
  return Object.fromEntries(Object.entries(value).toSorted(([a], [b]) => (a < b ? -1 : 1)));
}
