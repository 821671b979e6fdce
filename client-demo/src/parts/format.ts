const clock = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit", second: "2-digit" });
const day = new Intl.DateTimeFormat(undefined, { month: "short", day: "numeric", hour: "2-digit", minute: "2-digit" });

/** A backend may name a moment later than the last that a `Date` can be. */
const dateOf = (at: number): Date => new Date(Math.min(at, 8.64e15));

/** Hours, minutes and seconds of epoch milliseconds. */
export const timeOfDay = (at: number): string => clock.format(dateOf(at));

export const isoTime = (at: number): string => dateOf(at).toISOString();

export const dayAndTime = (at: number): string => day.format(at);

export function duration(milliseconds: number): string {
  if (milliseconds < 10) return `${milliseconds.toFixed(1)} ms`;
  if (milliseconds < 1_000) return `${Math.round(milliseconds)} ms`;
  return `${(milliseconds / 1_000).toFixed(1)} s`;
}

/** The ends of an id that nobody reads as a whole. */
export const shortened = (id: string): string => (id.length > 14 ? `${id.slice(0, 4)}…${id.slice(-6)}` : id);

/** `{ text }` as its text, anything else as JSON. */
export function dataText(data: unknown): string {
  if (typeof data === "string") return data;
  if (typeof data === "object" && data !== null && "text" in data && Object.keys(data).length === 1) {
    if (typeof data.text === "string") return data.text;
  }
  return JSON.stringify(data);
}

/** What somebody typed: JSON where it is, else a text. */
export function typedData(typed: string): unknown {
  try {
    return JSON.parse(typed) as unknown;
  } catch {
    return { text: typed };
  }
}
