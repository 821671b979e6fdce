/** Standard or URL-safe, with or without padding. */
const isBase64 = /^[\w+/-]*={0,2}$/;

/** Binary values in JSON: `{ "$binary": "<base64>" }`. The depth of values is bounded by the parser. */
export function toWire(value: unknown): unknown {
  if (ArrayBuffer.isView(value))
    return { $binary: Buffer.from(value.buffer, value.byteOffset, value.byteLength).toString("base64") };
  if (value instanceof ArrayBuffer) return { $binary: Buffer.from(value).toString("base64") };
  return mapValues(value, toWire);
}

/** An object whose `$binary` is not base64 stays an object. */
export function fromWire(value: unknown): unknown {
  if (typeof value !== "object" || value === null) return value;
  const { $binary: binary } = value as { $binary?: unknown };
  const isBinary = typeof binary === "string" && isBase64.test(binary) && Object.keys(value).length === 1;
  if (isBinary) return Buffer.from(binary, "base64");
  return mapValues(value, fromWire);
}

function mapValues(value: unknown, map: (value: unknown) => unknown): unknown {
  if (Array.isArray(value)) return value.map(map);
  if (typeof value !== "object" || value === null) return value;
  return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, map(item)]));
}
