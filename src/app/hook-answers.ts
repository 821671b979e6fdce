import { BoundedMap } from "../runtime/bounded-map.ts";
import type { Clock } from "../runtime/clock.ts";

/** What an answer is about. */
export interface HookSubject {
  readonly action: string;
  readonly userId: string;
  readonly sessionId: string;
  readonly channel: string;
}

/** What to forget; omitted fields match every answer. */
export type ForgetAnswers = Partial<Pick<HookSubject, "userId" | "sessionId" | "channel">>;

interface Remembered<Answer> {
  subject: HookSubject;
  answer: Answer;
  /** Monotonic milliseconds. */
  until: number;
}

/** Max answers that a node remembers; the oldest are forgotten first, and asked for again. */
const maxAnswers = 10_000;

/** Remembers an app's answers for as long as it says. */
export class HookAnswers<Answer extends { ttlSeconds?: number | undefined }> {
  readonly #answers = new BoundedMap<string, Remembered<Answer>>(maxAnswers);
  readonly #clock: Pick<Clock, "monotonic">;
  #forgetCount = 0;

  constructor(clock: Pick<Clock, "monotonic">) {
    this.#clock = clock;
  }

  /** The remembered answer, else the one that `ask` resolves with. */
  async answer(subject: HookSubject, ask: () => Promise<Answer>): Promise<Answer> {
    const key = keyOf(subject);
    const known = this.#answers.get(key);
    if (known !== undefined && known.until > this.#clock.monotonic()) return known.answer;
    this.#answers.delete(key);
    const forgetCount = this.#forgetCount;
    const answer = await ask();
    // An answer that the app gave before something was forgotten may be outdated.
    const isCurrent = forgetCount === this.#forgetCount;
    if (answer.ttlSeconds !== undefined && isCurrent) {
      const until = this.#clock.monotonic() + answer.ttlSeconds * 1_000;
      this.#answers.set(key, { subject, answer, until });
    }
    return answer;
  }

  forget(what: ForgetAnswers): void {
    this.#forgetCount += 1;
    for (const [key, { subject }] of this.#answers.entries()) {
      if (matches(subject, what)) this.#answers.delete(key);
    }
  }
}

const keyOf = ({ action, sessionId, userId, channel }: HookSubject): string =>
  JSON.stringify([action, sessionId, userId, channel]);

const matches = (subject: HookSubject, { userId, sessionId, channel }: ForgetAnswers): boolean =>
  (userId === undefined || userId === subject.userId) &&
  (sessionId === undefined || sessionId === subject.sessionId) &&
  (channel === undefined || channel === subject.channel);
