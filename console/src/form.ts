/** The texts of the form that was sent, by field and without surrounding blanks; the page stays. */
export function textsOf(event: Event): Record<string, string> {
  event.preventDefault();
  const fields = [...new FormData(event.target as HTMLFormElement)];
  return Object.fromEntries(
    fields.flatMap(([name, value]) => (typeof value === "string" ? [[name, value.trim()] as const] : [])),
  );
}
