/** Asks one of many questions that are put together; rejects where its answer is an error. */
export type Ask<Q, A> = (question: Q) => Promise<A>;

/** Answers all questions, each in its place; what becomes of one alone may be an error. */
export type AnswerAll<Q, A> = (questions: readonly Q[]) => Promise<readonly (A | Error)[]>;

/**
 * Gathers the questions of one turn of the event loop and has them answered together, at most so many at once: what asking
 * costs is shared by all who came in the same moment. What is asked while others are under way waits for their answer, so
 * that the more there is to do the more is shared; a full load does not wait. Questions are asked in the order they came.
 *
 * Where a load cannot be answered at all, whoever waits behind it is told the same.
 */
export function gather<Q, A>(answerAll: AnswerAll<Q, A>, mostAtOnce: number): Ask<Q, A> {
  const gathering = new Gathering(answerAll, mostAtOnce);
  return (question) => gathering.ask(question);
}

interface Pending<Q, A> {
  question: Q;
  resolve: (answer: A) => void;
  reject: (error: unknown) => void;
}

class Gathering<Q, A> {
  readonly #answerAll: AnswerAll<Q, A>;
  readonly #mostAtOnce: number;
  #waiting: Pending<Q, A>[] = [];
  #underWay = 0;
  #isPlanned = false;

  constructor(answerAll: AnswerAll<Q, A>, mostAtOnce: number) {
    this.#answerAll = answerAll;
    this.#mostAtOnce = mostAtOnce;
  }

  ask(question: Q): Promise<A> {
    return new Promise((resolve, reject) => {
      this.#waiting.push({ question, resolve, reject });
      if (this.#waiting.length >= this.#mostAtOnce) this.#send();
      else this.#plan();
    });
  }

  #plan(): void {
    if (this.#isPlanned || this.#underWay > 0) return;
    this.#isPlanned = true;
    setImmediate(() => {
      this.#isPlanned = false;
      if (this.#underWay === 0) this.#send();
    });
  }

  #send(): void {
    const asked = this.#take();
    if (asked.length === 0) return;
    this.#underWay += 1;
    this.#answerAll(asked.map(({ question }) => question)).then(
      (answers) => this.#answered(asked, answers),
      (error: unknown) => this.#failed(asked, error),
    );
  }

  #answered(asked: readonly Pending<Q, A>[], answers: readonly (A | Error)[]): void {
    this.#underWay -= 1;
    asked.forEach((each, place) => settle(each, answers[place] as A | Error));
    if (this.#waiting.length > 0) this.#plan();
  }

  #failed(asked: readonly Pending<Q, A>[], error: unknown): void {
    this.#underWay -= 1;
    for (const { reject } of [...asked, ...this.#take()]) reject(error);
  }

  #take(): readonly Pending<Q, A>[] {
    const all = this.#waiting;
    this.#waiting = [];
    return all;
  }
}

function settle<Q, A>({ resolve, reject }: Pending<Q, A>, answer: A | Error): void {
  if (answer instanceof Error) reject(answer);
  else resolve(answer);
}
