/** Max characters of a name in a path, because unknown fields have untrusted names. */
const maxPrintedName = 64;

/** The readable path of a value: `publications[3].data["odd name"]`. `at` is the path of its root. */
export function fieldPath(steps: readonly PropertyKey[], at = ""): string {
  return steps.reduce<string>(join, at);
}

function join(path: string, step: PropertyKey): string {
  if (typeof step === "number") return `${path}[${step}]`;
  const name = String(step).slice(0, maxPrintedName);
  if (!/^\w+$/.test(name)) return `${path}[${JSON.stringify(name.toWellFormed())}]`;
  return path === "" ? name : `${path}.${name}`;
}
