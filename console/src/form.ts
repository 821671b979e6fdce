/** `role:support, news:*` as a list. */
export const listOf = (text = ""): string[] => text.split(/[\s,]+/).filter((item) => item !== "");

/** Undefined for an empty text. Throws for anything else that is not JSON. */
export function jsonOf(field: string, text = ""): unknown {
  if (text === "") return undefined;
  try {
    return JSON.parse(text) as unknown;
  } catch {
    throw new Error(`${field}: is not JSON; texts need quotes`);
  }
}

/** The texts of the form that was sent, by field and without surrounding blanks; the page stays. */
export function textsOf(event: Event): Record<string, string> {
  event.preventDefault();
  const fields = [...new FormData(event.target as HTMLFormElement)];
  return Object.fromEntries(
    fields.flatMap(([name, value]) => (typeof value === "string" ? [[name, value.trim()] as const] : [])),
  );
}
