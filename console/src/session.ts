import { signal } from "@preact/signals";
import { ApiError, get, post, remove } from "./api.ts";

export interface Operator {
  name: string;
  role: "viewer" | "admin";
}

/** Undefined until known; null if nobody is signed in. */
export const operator = signal<Operator | null | undefined>(undefined);

export const mayAct = (): boolean => operator.value?.role === "admin";

/** Present while somebody is signed in, so that a page of nobody does not ask and is not refused. */
const marker = "tidegate-operator";

export async function restore(): Promise<void> {
  const wasSignedIn = localStorage.getItem(marker) !== null;
  operator.value = wasSignedIn ? await get<Operator>("session").catch(() => null) : null;
}

export async function signIn(name: string, secret: string): Promise<void> {
  operator.value = await post<Operator>("session", { name, secret });
  localStorage.setItem(marker, "1");
}

export async function signOut(): Promise<void> {
  await remove("session").catch(() => undefined);
  localStorage.removeItem(marker);
  operator.value = null;
}

/** Shows the sign-in again if the session has ended. */
export function noteFailure(error: unknown): void {
  if (error instanceof ApiError && error.status === 401) operator.value = null;
}
