import { z } from "zod";
import { isName } from "../protocol/names.ts";

/** Building blocks of the file's schemas. */
export const daySeconds = 86_400;

export const count = (max: number) => z.int().min(1).max(max);
export const milliseconds = (max: number) => z.int().min(0).max(max);
export const seconds = (max: number) => z.int().min(1).max(max);
export const name = z.string().refine(isName, "must be 1 to 256 characters without control characters");

export const kindName = name.refine(
  (kind) => !kind.includes(":"),
  "a kind ends before the colon: it must not hold one",
);

/** `when` lets a check run beside other mistakes, so that all are told at once; it then sees values of any shape. */
export const always = () => true;
