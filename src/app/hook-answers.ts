import { GatewayError } from "../protocol/errors.ts";
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

/** A question on its way to the app. */
interface PendingQuestion {
  readonly subject: HookSubject;
  /** What it is about was forgotten meanwhile, so that the answer may be from before. */
  isOutdated: boolean;
}

/** Max answers that a node remembers; the oldest are forgotten first, and asked for again. */
const maxAnswers = 10_000;
/** How often one question is put where what it is about is forgotten again and again. */
const maxTries = 5;

/** Remembers an app's answers for as long as it says. */
export class HookAnswers<Answer extends { ttlSeconds?: number | undefined }> {
  readonly #answers = new BoundedMap<string, Remembered<Answer>>(maxAnswers);
  readonly #clock: Pick<Clock, "monotonic">;
  readonly #pending = new Set<PendingQuestion>();

  constructor(clock: Pick<Clock, "monotonic">) {
    this.#clock = clock;
  }

  /**
   * The remembered answer, else the one that `ask` resolves with. Asks again about a subscription if what it is about was
   * forgotten meanwhile, because subscriptions were judged then and this one had not begun. Throws `unavailable` if that
   * does not end.
   */
  async answer(subject: HookSubject, ask: () => Promise<Answer>): Promise<Answer> {
    const key = keyOf(subject);
    const known = this.#answers.get(key);
    if (known !== undefined && known.until > this.#clock.monotonic()) return known.answer;
    this.#answers.delete(key);
    const pending = { subject, isOutdated: false };
    this.#pending.add(pending);
    try {
      for (let tries = 1; tries <= maxTries; tries++) {
        pending.isOutdated = false;
        const answer = await ask();
        if (!pending.isOutdated) this.#remember(key, subject, answer);
        if (!pending.isOutdated || subject.action !== "subscribe") return answer;
      }
    } finally {
      this.#pending.delete(pending);
    }
    throw new GatewayError("unavailable");
  }

  #remember(key: string, subject: HookSubject, answer: Answer): void {
    if (answer.ttlSeconds === undefined) return;
    const until = this.#clock.monotonic() + answer.ttlSeconds * 1_000;
    this.#answers.set(key, { subject, answer, until });
  }

  forget(what: ForgetAnswers): void {
    for (const pending of this.#pending) pending.isOutdated ||= matches(pending.subject, what);
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
