import type { SignedIn } from "./clients/login.ts";

/** What came back from a backend call. */
export type Answer = { ok: true; body: unknown } | ({ ok: false } & ApiRefusal);

export interface ApiRefusal {
  /** Of the catalogue, or `unreachable`. */
  code: string;
  retryAfterMs: number;
  /** The same call may pass later. */
  isPassing: boolean;
}

const patienceMs = 10_000;

/** The backend API of the nodes. A call goes to the node that answered last; one that does not answer is left. */
export class BackendApi {
  readonly #addresses: readonly string[];
  readonly #apiKey: string;
  #current: number;

  /** Callers begin at different nodes, so that all of them have work. */
  constructor(addresses: readonly string[], apiKey: string, first = 0) {
    this.#addresses = addresses;
    this.#apiKey = apiKey;
    this.#current = first;
  }

  post(path: string, body: object): Promise<Answer> {
    return this.#call(path, { method: "POST", body: JSON.stringify(body) });
  }

  get(path: string): Promise<Answer> {
    return this.#call(path, {});
  }

  async #call(path: string, request: RequestInit): Promise<Answer> {
    const address = this.#addresses[this.#current % this.#addresses.length] as string;
    const headers = { authorization: `Bearer ${this.#apiKey}`, "content-type": "application/json" };
    try {
      const signal = AbortSignal.timeout(patienceMs);
      return await readAnswer(await fetch(new URL(path, address), { ...request, headers, signal }));
    } catch {
      // Whatever the reason was, another node may answer.
      this.#current += 1;
      return { ok: false, code: "unreachable", retryAfterMs: 0, isPassing: true };
    }
  }
}

async function readAnswer(response: Response): Promise<Answer> {
  const body = (await response.json()) as { code?: string };
  if (response.ok) return { ok: true, body };
  return {
    ok: false,
    code: body.code ?? String(response.status),
    retryAfterMs: (Number(response.headers.get("retry-after")) || 0) * 1_000,
    isPassing: response.status >= 500 || response.status === 429,
  };
}

/** The house refused something without which the run makes no sense. */
export class RefusedByHouse extends Error {}

/** Another token of a session that this lab began. */
export async function renewToken(api: BackendApi, sessionId: string): Promise<SignedIn> {
  const answer = await api.post(`/v1/sessions/${encodeURIComponent(sessionId)}/token`, {});
  if (!answer.ok) throw new RefusedByHouse(`refreshing the token failed: ${answer.code}`);
  return answer.body as SignedIn;
}
