import { wrong } from "../protocol/parse-with.ts";

/** A query as an object for a schema. A field named twice is refused; one without a value counts as left out. */
export function queryOf(search: string): Record<string, string> {
  const query = Object.create(null) as Record<string, string>;
  if (search === "") return query;
  for (const [name, value] of new URLSearchParams(search)) {
    if (value === "") continue;
    if (name in query) throw wrong(name.slice(0, 64), "is present twice");
    query[name] = value;
  }
  return query;
}
