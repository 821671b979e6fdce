/** Levels of a schema that are drawn; deeper ones are named by their type. */
const deepest = 4;

/** Most values of a choice that are listed; more would hide the rest of a table. */
const longestChoice = 8;

/** Follows `$ref` inside the description; beside other words it may be in an `allOf` of its own. */
export function resolve(api, part) {
  const ref = part?.$ref ?? part?.allOf?.[0].$ref;
  if (ref === undefined) return part;
  const target = ref.split("/").slice(1);
  return resolve(
    api,
    target.reduce((place, step) => place?.[step], api),
  );
}

/** One row a field: its path, type, whether it must be there, and what it means. */
export function fieldsOf(api, given, path = "", depth = 0) {
  const schema = resolve(api, given) ?? {};
  if (depth > deepest) return [];
  if (schema.oneOf) return schema.oneOf.flatMap((option) => fieldsOf(api, option, path, depth));
  if (schema.items) return fieldsOf(api, schema.items, `${path}[]`, depth + 1);
  return Object.entries(schema.properties ?? {}).flatMap(([name, property]) => {
    const at = path === "" ? name : `${path}.${name}`;
    const isRequired = (schema.required ?? []).includes(name);
    const text = property.description ?? resolve(api, property)?.description;
    const row = { path: at, type: typeOf(api, property), isRequired, text };
    return [row, ...fieldsOf(api, property, at, depth + 1)];
  });
}

export function typeOf(api, given) {
  const schema = resolve(api, given) ?? {};
  if (schema.const !== undefined) return JSON.stringify(schema.const);
  if (schema.enum) return schema.enum.length > longestChoice ? "string" : schema.enum.join(" | ");
  if (schema.oneOf ?? schema.anyOf) return (schema.oneOf ?? schema.anyOf).map((one) => typeOf(api, one)).join(" | ");
  if (schema.type === "array") return `${typeOf(api, schema.items)}[]`;
  return [schema.type ?? "any"].flat().join(" | ");
}
