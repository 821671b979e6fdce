import { GatewayError } from "../protocol/errors.ts";

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

export type OutputOf<S extends StandardSchema> = NonNullable<S["~standard"]["types"]>["output"];

/** Resolves with the validated value; throws `bad_request` with the field of the first issue. */
export async function validateWith(schema: StandardSchema, value: unknown): Promise<unknown> {
  const result = await schema["~standard"].validate(value);
  if (result.issues === undefined) return result.value;
  const [issue] = result.issues;
  const field = (issue?.path ?? []).map((part) => String(typeof part === "object" ? part.key : part)).join(".");
  const message = issue?.message ?? "is invalid";
  throw new GatewayError("bad_request", field === "" ? message : `${field}: ${message}`, field === "" ? {} : { field });
}
