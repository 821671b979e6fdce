/** Longest name written out in a path: names of unknown fields are chosen by strangers. */
const maxPrintedName = 64;

/** Where a value stands, for people: `publications[3].data["odd name"]`. `at` is where the first step begins. */
export function fieldPath(steps: readonly PropertyKey[], at = ""): string {
  return steps.reduce<string>(join, at);
}

function join(path: string, step: PropertyKey): string {
  if (typeof step === "number") return `${path}[${step}]`;
  const name = String(step).slice(0, maxPrintedName);
  if (!/^\w+$/.test(name)) return `${path}[${JSON.stringify(name.toWellFormed())}]`;
  return path === "" ? name : `${path}.${name}`;
}
