import { fieldPath } from "../field-path.ts";
import { wrong } from "../parse-with.ts";

/** A schema of any library that implements Standard Schema 1, such as Zod, Valibot or ArkType. */
export interface StandardSchema<Input = unknown, Output = Input> {
  readonly "~standard": {
    readonly version: 1;
    readonly vendor: string;
    readonly validate: (value: unknown) => StandardResult<Output> | Promise<StandardResult<Output>>;
    readonly types?: { readonly input: Input; readonly output: Output } | undefined;
  };
}

type StandardResult<Output> =
  { readonly value: Output; readonly issues?: undefined } | { readonly issues: readonly StandardIssue[] };

interface StandardIssue {
  readonly message: string;
  readonly path?: readonly (PropertyKey | { readonly key: PropertyKey })[] | undefined;
}

export type InputOf<S extends StandardSchema> = NonNullable<S["~standard"]["types"]>["input"];
export type OutputOf<S extends StandardSchema> = NonNullable<S["~standard"]["types"]>["output"];

/** Libraries such as ArkType have schemas that are functions. */
export function isStandardSchema(value: unknown): value is StandardSchema {
  if ((typeof value !== "object" && typeof value !== "function") || value === null) return false;
  const { "~standard": standard } = value as Partial<StandardSchema>;
  return typeof standard === "object" && typeof standard.validate === "function";
}

/** Where a value is in what was sent, for errors. */
export interface ValuePlace {
  /** Path of the value; empty if the paths of its fields start at the value itself. */
  at: string;
  /** Name of the value itself. @default `at` */
  name?: string;
}

/** Resolves with the validated value; throws `bad_request` with the field of the first issue. */
export async function validateWith(schema: StandardSchema, value: unknown, place: ValuePlace): Promise<unknown> {
  return valueOf(await schema["~standard"].validate(value), place);
}

/** The same for schemas that validate at once, so that nothing is reordered. Throws TypeError for others. */
export function validateAtOnce(schema: StandardSchema, value: unknown, place: ValuePlace): unknown {
  const result = schema["~standard"].validate(value);
  if (!(result instanceof Promise)) return valueOf(result, place);
  result.catch(() => undefined);
  throw new TypeError("schemas of channels must not be asynchronous");
}

function valueOf<Output>(result: StandardResult<Output>, { at, name = at }: ValuePlace): Output {
  if (result.issues === undefined) return result.value;
  const [{ message, path = [] } = { message: "is invalid" }] = result.issues;
  const steps = path.map((step) => (typeof step === "object" ? step.key : step));
  throw wrong(fieldPath(steps, at) || name, plainReason(bounded(message)));
}

/** A schema's message without what the field's name already says. */
function plainReason(message: string): string {
  if (message.endsWith("received undefined")) return "is required";
  return message.replace(/^Invalid input: /, "");
}

/** Max characters of a message: some libraries quote the value. */
const maxMessageLength = 256;

const bounded = (message: string): string =>
  message.length <= maxMessageLength ? message : `${message.slice(0, maxMessageLength).toWellFormed()}…`;
