/**
 * A channel's name with fields to fill in: `order:{orderId}`, `user:{parties.customer}`. `{parties.*}` stands for each
 * field of `parties` in turn.
 */
export interface Template {
  /** Fields of the message that it takes from. */
  readonly fields: ReadonlySet<string>;
  /** The names for this message; none where a field is missing or is no text or number. */
  namesFor(message: unknown): string[];
}

/** Max names that one message yields. */
export const maxNames = 64;

const fieldPattern = /\{([^{}]+)\}/g;

export function createTemplate(text: string): Template {
  const paths = [...text.matchAll(fieldPattern)].map(([, path]) => (path as string).split("."));
  const literals = text.replaceAll(fieldPattern, "\0").split("\0");
  return {
    fields: new Set(paths.map(([field]) => field as string)),
    namesFor(message) {
      let names = [literals[0] as string];
      for (const [index, path] of paths.entries()) {
        const values = fieldsOf(message, path).flatMap((value) => toText(value) ?? []);
        names = names.flatMap((name) => values.map((value) => name + value + (literals[index + 1] as string)));
        names = [...new Set(names)].slice(0, maxNames);
      }
      return names;
    },
  };
}

/** A path leads to one value, or to none; a `*` in it to several. */
function fieldsOf(message: unknown, path: readonly string[]): unknown[] {
  let values = [message];
  for (const step of path) {
    values = values.flatMap((value) => {
      if (typeof value !== "object" || value === null) return [];
      if (step === "*") return Object.values(value).slice(0, maxNames);
      return Object.hasOwn(value, step) ? [(value as Record<string, unknown>)[step]] : [];
    });
  }
  return values;
}

/** What names something is text, or a number as it is written. */
export function toText(value: unknown): string | undefined {
  if (typeof value === "number") return String(value);
  return typeof value === "string" && value !== "" ? value : undefined;
}
