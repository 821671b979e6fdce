import { z } from "zod";
import { isName, nameRule } from "../protocol/names.ts";

/** Building blocks of the file's schemas. */
export const daySeconds = 86_400;

export const count = (max: number) => z.int().min(1).max(max);
export const milliseconds = (max: number) => z.int().min(0).max(max);
export const seconds = (max: number) => z.int().min(1).max(max);
export const name = z.string().refine(isName, nameRule());

export const kindName = name.refine(
  (kind) => !kind.includes(":"),
  "must not contain a colon; a kind is the part of the channel name before it",
);

/**
 * `when` runs a check even if there are other problems, so that all are reported; it then receives unvalidated values.
 */
export const always = () => true;

export const unreadableLogin = "contains a % that is not followed by two hexadecimal digits in its user or password";

/** Whether the user and password in a URL can be decoded; true for what is no URL. */
export function hasReadableLogin(text: string): boolean {
  try {
    const { username, password } = URL.canParse(text) ? new URL(text) : { username: "", password: "" };
    return decodeURIComponent(`${username}:${password}`) !== undefined;
  } catch {
    return false;
  }
}
