/** A channel's name with fields to fill in: `order:{orderId}`, `user:{parties.customer}`. */
export interface Template {
  /** The name for this message; undefined where a field is missing or is no text or number. */
  nameFor(message: unknown): string | undefined;
}

const fieldPattern = /\{([^{}]+)\}/g;

export function createTemplate(text: string): Template {
  const paths = [...text.matchAll(fieldPattern)].map(([, path]) => (path as string).split("."));
  const literals = text.replaceAll(fieldPattern, "\0").split("\0");
  return {
    nameFor(message) {
      let name = literals[0] as string;
      for (const [index, path] of paths.entries()) {
        const value = fieldOf(message, path);
        if (value === undefined) return undefined;
        name += value + (literals[index + 1] as string);
      }
      return name;
    },
  };
}

function fieldOf(message: unknown, path: readonly string[]): string | undefined {
  let value: unknown = message;
  for (const step of path) {
    if (typeof value !== "object" || value === null || !Object.hasOwn(value, step)) return undefined;
    value = (value as Record<string, unknown>)[step];
  }
  if (typeof value === "number") return String(value);
  return typeof value === "string" && value !== "" ? value : undefined;
}
