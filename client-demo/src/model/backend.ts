/** A call that the page makes instead of a backend, with the development key. */
export interface BackendCall {
  method: "POST" | "PUT";
  path: string;
  body: unknown;
}

/** An error response of the gateway. */
export class BackendError extends Error {
  readonly status: number;
  readonly code: string | undefined;
  readonly detail: string;

  constructor(status: number, code: string | undefined, detail: string) {
    super(code === undefined ? `${status} ${detail}` : `${code}: ${detail}`);
    this.status = status;
    this.code = code;
    this.detail = detail;
  }
}

export const publishCall = (channel: string, text: string): BackendCall => ({
  method: "POST",
  path: "/v1/publish",
  body: { channel, event: "message", data: { text } },
});

/** Resolves to the response's JSON; rejects with a BackendError. */
export async function callBackend(apiKey: string, { method, path, body }: BackendCall): Promise<unknown> {
  const headers = { Authorization: `Bearer ${apiKey}`, "Content-Type": "application/json" };
  const response = await fetch(path, { method, headers, body: JSON.stringify(body) });
  if (!response.ok) throw await refusalOf(response);
  return response.json();
}

export async function refusalOf(response: Response): Promise<BackendError> {
  const problem = (await response.json().catch(() => ({}))) as { code?: string; detail?: string; title?: string };
  return new BackendError(response.status, problem.code, problem.detail ?? problem.title ?? response.statusText);
}

/** The same call as a curl command. */
export function curlLine(apiKey: string, { method, path, body }: BackendCall): string {
  return [
    `curl -X ${method} ${quotedIfNeeded(`${location.origin}${path}`)}`,
    `-H ${quoted(`Authorization: Bearer ${apiKey}`)}`,
    `-H 'Content-Type: application/json'`,
    `-d ${quoted(JSON.stringify(body))}`,
  ].join(" \\\n  ");
}

const quoted = (text: string): string => `'${text.replaceAll("'", `'\\''`)}'`;

const quotedIfNeeded = (text: string): string => (/^[\w:/.%-]+$/.test(text) ? text : quoted(text));
