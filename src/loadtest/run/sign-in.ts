import { BackendApi, RefusedByHouse } from "../api.ts";
import type { SignedIn } from "../clients/login.ts";
import { userOf } from "../cast.ts";
import type { Plan } from "../plan.ts";

export interface SignInOptions {
  plan: Plan;
  /** Told now and then how many are in. */
  onProgress: (done: number) => void;
  signal: AbortSignal;
}

/** Below what a gateway takes from one API key by default, with room for publishing. */
const perSecond = 400;
const mostAtOnce = 16;

/** Of a call that nobody answers, or that the gateway cannot answer; the last pause is some seconds long. */
const mostTries = 6;

/** Of one that is refused for its number. */
const mostRefusals = 100;

/** A session outlives the run by this. */
const marginSeconds = 900;

/** A session and its token for each reader, at a pace that leaves the gateway room for others. They end by themselves. */
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
      signedIn[index] = await openSession(api, { userId: userOf(plan, index), ttlSeconds });
      onProgress(index + 1);
    }
  }

  const workers = Array.from({ length: mostAtOnce }, (_, at) => work(new BackendApi(plan.addresses, plan.apiKey, at)));
  await Promise.all(workers);
  return signedIn;
}

async function openSession(api: BackendApi, body: object): Promise<SignedIn> {
  for (let attempt = 1; ; attempt += 1) {
    const answer = await api.post("/v1/sessions", body);
    if (answer.ok) return checked(answer.body as SignedIn & { token: string | null });
    const most = answer.code === "rate_limited" ? mostRefusals : mostTries;
    if (!answer.isPassing || attempt >= most) throw new RefusedByHouse(reasonOf(answer.code));
    await pause(Math.max(answer.retryAfterMs, 50 * 2 ** Math.min(attempt, mostTries)));
  }
}

/** A gateway that only verifies tokens begins the session, and leaves signing to the backend. */
function checked(answer: Omit<SignedIn, "token"> & { token: string | null }): SignedIn {
  const { token, ...rest } = answer;
  if (token !== null) return { ...rest, token };
  throw new RefusedByHouse("the gateway does not sign tokens itself; pass tokens with --token-file");
}

function reasonOf(code: string): string {
  if (code === "unreachable") return "no gateway answered; is it running? (see --url)";
  if (code === "unauthorized") return "the gateway refused the API key (see --api-key)";
  return `creating a session was refused: ${code}`;
}

const pause = (delayMs: number): Promise<void> =>
  delayMs <= 0 ? Promise.resolve() : new Promise((resolve) => void setTimeout(resolve, delayMs));
