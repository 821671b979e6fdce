/** Binary values in JSON: `{ "$binary": "<base64>" }`. The depth of values is bounded by the parser. */
export function toWire(value: unknown): unknown {
  if (ArrayBuffer.isView(value))
    return { $binary: Buffer.from(value.buffer, value.byteOffset, value.byteLength).toString("base64") };
  if (value instanceof ArrayBuffer) return { $binary: Buffer.from(value).toString("base64") };
  return mapValues(value, toWire);
}

export function fromWire(value: unknown): unknown {
  if (typeof value !== "object" || value === null) return value;
  const { $binary: binary } = value as { $binary?: unknown };
  if (typeof binary === "string" && Object.keys(value).length === 1) return Buffer.from(binary, "base64");
  return mapValues(value, fromWire);
}

function mapValues(value: unknown, map: (value: unknown) => unknown): unknown {
  if (Array.isArray(value)) return value.map(map);
  if (typeof value !== "object" || value === null) return value;
  return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, map(item)]));
}
