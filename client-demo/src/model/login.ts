import { refusalOf } from "./backend.ts";

/** A login of the demo, which the gateway offers outside production only. */
export interface Login {
  name: string;
  sessionId: string;
  token: string;
  /** Epoch milliseconds. */
  expiresAt: number;
  /** The development API key, if the gateway sent it. */
  apiKey?: string;
  /** The configured token bucket of the user's messages. */
  messages?: BucketRule;
}

export interface BucketRule {
  capacity: number;
  refillPerSecond: number;
  /** Cost by client event; the default is 1. */
  costs: Record<string, number>;
}

const storageKey = "tidegate.login";

export async function signIn(name: string): Promise<Login> {
  const response = await fetch("/demo/login", {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify({ name }),
  });
  if (response.status === 404) throw new Error("This gateway offers no sign-in here: it does so in development only.");
  if (response.status === 429) throw new Error(tooManyLogins(name, Number(response.headers.get("Retry-After"))));
  if (!response.ok) throw await refusalOf(response);
  return { name, ...((await response.json()) as Omit<Login, "name">) };
}

function tooManyLogins(name: string, retrySeconds: number): string {
  const wait = retrySeconds > 90 ? `${Math.ceil(retrySeconds / 60)} minutes` : `${retrySeconds} seconds`;
  return `Too many sign-ins as ${name} from here. Take another name, or come back in ${wait}.`;
}

/** Gets a new token of the same session, as an application's backend would. */
export async function freshToken(login: Login): Promise<string> {
  if (login.apiKey === undefined) return login.token;
  const path = `/v1/sessions/${encodeURIComponent(login.sessionId)}/token`;
  const response = await fetch(path, { method: "POST", headers: { Authorization: `Bearer ${login.apiKey}` } });
  if (!response.ok) throw await refusalOf(response);
  const { token, expiresAt } = (await response.json()) as Pick<Login, "token" | "expiresAt">;
  Object.assign(login, { token, expiresAt });
  rememberLogin(login);
  return token;
}

/** Stored for this tab only, so that two tabs can be two users. */
export function rememberLogin(login: Login | undefined): void {
  if (login === undefined) sessionStorage.removeItem(storageKey);
  else sessionStorage.setItem(storageKey, JSON.stringify(login));
}

export function rememberedLogin(): Login | undefined {
  const kept = sessionStorage.getItem(storageKey);
  return kept === null ? undefined : (JSON.parse(kept) as Login);
}
