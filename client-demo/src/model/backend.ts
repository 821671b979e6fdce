import { problemOf } from "./login.ts";

/** What the page does in place of a backend, with the development key. */
export interface HttpPublish {
  channel: string;
  event: string;
  data: unknown;
}

/** Answers the gateway's JSON as text; rejects with what it said. */
export async function publishByHttp(apiKey: string, publication: HttpPublish): Promise<string> {
  const response = await fetch("/v1/publish", {
    method: "POST",
    headers: { Authorization: `Bearer ${apiKey}`, "Content-Type": "application/json" },
    body: JSON.stringify(publication),
  });
  if (!response.ok) throw new Error(await problemOf(response));
  return JSON.stringify(await response.json());
}

/** The same as a line for a terminal. */
export function curlLine(apiKey: string, publication: HttpPublish): string {
  return [
    `curl -X POST ${location.origin}/v1/publish`,
    `-H ${quoted(`Authorization: Bearer ${apiKey}`)}`,
    `-H 'Content-Type: application/json'`,
    `-d ${quoted(JSON.stringify(publication))}`,
  ].join(" \\\n  ");
}

const quoted = (text: string): string => `'${text.replaceAll("'", `'\\''`)}'`;
