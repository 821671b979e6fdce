/** What the gateway refused, as its problem says. */
export class ApiError extends Error {
  readonly status: number;
  readonly code: string | undefined;

  constructor(status: number, code: string | undefined, detail: string) {
    super(detail);
    this.status = status;
    this.code = code;
  }
}

type Query = Readonly<Record<string, string | number | undefined>>;

/** A path below `/v1/operator/`; values that are empty are left out of the query. */
export function get<T>(path: string, query: Query = {}): Promise<T> {
  const search = new URLSearchParams();
  for (const [name, value] of Object.entries(query)) {
    if (value !== undefined && value !== "") search.set(name, String(value));
  }
  return call<T>("GET", search.size === 0 ? path : `${path}?${search}`);
}

export const post = <T>(path: string, body?: unknown): Promise<T> => call<T>("POST", path, body);
export const put = <T>(path: string, body: unknown): Promise<T> => call<T>("PUT", path, body);
export const patch = <T>(path: string, body: unknown): Promise<T> => call<T>("PATCH", path, body);
export const remove = <T>(path: string): Promise<T> => call<T>("DELETE", path);

/** What an act was refused for, or what went wrong. */
export const messageOf = (error: unknown): string => (error instanceof Error ? error.message : String(error));

/** The header is one that no form of another site can send. */
async function call<T>(method: string, path: string, body?: unknown): Promise<T> {
  const headers: Record<string, string> = { "X-Tidegate-Console": "1" };
  if (body !== undefined) headers["Content-Type"] = "application/json";
  const text = body === undefined ? null : JSON.stringify(body);
  const response = await fetch(`/v1/operator/${path}`, { method, headers, body: text }).catch(() => undefined);
  if (response === undefined) throw new ApiError(0, undefined, "The gateway does not answer.");
  const answer = (await response.json().catch(() => ({}))) as { code?: string; detail?: string };
  if (!response.ok) throw new ApiError(response.status, answer.code, answer.detail ?? response.statusText);
  return answer as T;
}
