import { bearer } from "../protocol/bearer.ts";
import { urlBelow } from "../runtime/url-below.ts";
import type { SignedIn } from "./clients/login.ts";

/** The response to a backend call. */
export type ApiResponse = { ok: true; body: unknown } | ({ ok: false } & ApiFailure);

export interface ApiFailure {
  /** A code of the error catalogue, or `unreachable`. */
  code: string;
  retryAfterMs: number;
  /** Whether the same call may succeed later. */
  isTemporary: boolean;
}

const timeoutMs = 10_000;

/** The backend API of the nodes. Each call goes to the node that answered last, and moves on if it does not answer. */
export class BackendApi {
  readonly #addresses: readonly string[];
  readonly #apiKey: string;
  #current: number;

  /** `first` spreads callers over the nodes. */
  constructor(addresses: readonly string[], apiKey: string, first = 0) {
    this.#addresses = addresses;
    this.#apiKey = apiKey;
    this.#current = first;
  }

  post(path: string, body: object): Promise<ApiResponse> {
    return this.#call(path, { method: "POST", body: JSON.stringify(body) });
  }

  get(path: string): Promise<ApiResponse> {
    return this.#call(path, {});
  }

  async #call(path: string, request: RequestInit): Promise<ApiResponse> {
    const address = this.#addresses[this.#current % this.#addresses.length] as string;
    const headers = { authorization: bearer(this.#apiKey), "content-type": "application/json" };
    try {
      const signal = AbortSignal.timeout(timeoutMs);
      return await readAnswer(await fetch(urlBelow(address, path), { ...request, headers, signal }));
    } catch {
      // Another node may answer, whatever the reason was.
      this.#current += 1;
      return { ok: false, code: "unreachable", retryAfterMs: 0, isTemporary: true };
    }
  }
}

async function readAnswer(response: Response): Promise<ApiResponse> {
  const body = (await response.json()) as { code?: string };
  if (response.ok) return { ok: true, body };
  return {
    ok: false,
    code: body.code ?? String(response.status),
    retryAfterMs: (Number(response.headers.get("retry-after")) || 0) * 1_000,
    isTemporary: response.status >= 500 || response.status === 429,
  };
}

/** The target refused something that the run cannot do without. */
export class TargetRefused extends Error {}

/** Gets another token for a session that the load test created. */
export async function renewToken(api: BackendApi, sessionId: string): Promise<SignedIn> {
  const answer = await api.post(`/v1/sessions/${encodeURIComponent(sessionId)}/token`, {});
  if (!answer.ok) throw new TargetRefused(`refreshing the token failed: ${answer.code}`);
  return answer.body as SignedIn;
}
