import { BackendApi, TargetRefused } from "../api.ts";
import type { SignedIn } from "../clients/login.ts";
import { userIdOf } from "../client-plan.ts";
import type { Plan } from "../plan.ts";

export interface SignInOptions {
  plan: Plan;
  /** Called with the number of sessions created so far. */
  onProgress: (done: number) => void;
  signal: AbortSignal;
}

/** Below the gateway's default limit per API key, leaving room for publishing. */
const perSecond = 400;
const maxAtOnce = 16;

/** Attempts of a call that fails temporarily; the last pause takes some seconds. */
const maxTries = 6;

/** Attempts of a call that is refused by a rate limit. */
const maxRefusals = 100;

/** Sessions expire this long after the run. */
const marginSeconds = 900;

/** Creates a session and a token for each reader, at a limited rate. The sessions expire by themselves. */
export async function signIn({ plan, onProgress, signal }: SignInOptions): Promise<SignedIn[]> {
  const { readers, durationSeconds, settleSeconds } = plan.scenario;
  const rampSeconds = readers.count / readers.connectPerSecond + readers.count / perSecond;
  const ttlSeconds = Math.ceil(durationSeconds + settleSeconds + rampSeconds) + marginSeconds;
  const begun = performance.now();
  const signedIn: SignedIn[] = [];
  let next = 0;

  async function work(api: BackendApi): Promise<void> {
    while (next < readers.count && !signal.aborted) {
      const index = next++;
      await pause(begun + (index / perSecond) * 1_000 - performance.now());
      signedIn[index] = await openSession(api, { userId: userIdOf(plan, index), ttlSeconds });
      onProgress(index + 1);
    }
  }

  const workers = Array.from({ length: maxAtOnce }, (_, at) => work(new BackendApi(plan.addresses, plan.apiKey, at)));
  await Promise.all(workers);
  return signedIn;
}

async function openSession(api: BackendApi, body: object): Promise<SignedIn> {
  for (let attempt = 1; ; attempt += 1) {
    const answer = await api.post("/v1/sessions", body);
    if (answer.ok) return checked(answer.body as SignedIn & { token: string | null });
    const most = answer.code === "rate_limited" ? maxRefusals : maxTries;
    if (!answer.isTemporary || attempt >= most) throw new TargetRefused(reasonOf(answer.code));
    await pause(Math.max(answer.retryAfterMs, 50 * 2 ** Math.min(attempt, maxTries)));
  }
}

/** A gateway that only verifies tokens creates the session without a token. */
function checked(answer: Omit<SignedIn, "token"> & { token: string | null }): SignedIn {
  const { token, ...rest } = answer;
  if (token !== null) return { ...rest, token };
  throw new TargetRefused("the gateway does not sign tokens itself; pass tokens with --token-file");
}

function reasonOf(code: string): string {
  if (code === "unreachable") return "no gateway answered; is it running? (see --url)";
  if (code === "unauthorized") return "the gateway refused the API key (see --api-key)";
  return `creating a session was refused: ${code}`;
}

const pause = (delayMs: number): Promise<void> =>
  delayMs <= 0 ? Promise.resolve() : new Promise((resolve) => void setTimeout(resolve, delayMs));
