import type { IncomingMessage } from "node:http";

/**
 * Every value of a header, in the order they were sent. Node joins or drops repeated headers depending on their name;
 * what guards something must see them all.
 */
export function headerValues(request: IncomingMessage, lowerCaseName: string): string[] {
  const { rawHeaders } = request;
  const values: string[] = [];
  for (let index = 0; index < rawHeaders.length; index += 2) {
    const name = rawHeaders[index];
    if (name?.length === lowerCaseName.length && name.toLowerCase() === lowerCaseName) {
      values.push(rawHeaders[index + 1] ?? "");
    }
  }
  return values;
}
