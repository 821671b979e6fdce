/** Asks one of many questions that are put together; rejects where its answer is an error. */
export type Ask<Q, A> = (question: Q) => Promise<A>;

/** Answers all questions, each in its place; what becomes of one alone may be an error. */
export type AnswerAll<Q, A> = (questions: readonly Q[]) => Promise<readonly (A | Error)[]>;

interface Pending<A> {
  resolve: (answer: A) => void;
  reject: (error: unknown) => void;
}

/**
 * Gathers the questions of one turn of the event loop and has them answered together, at most so many at once: what asking
 * costs is shared by all who came in the same moment. Questions are asked in the order they came.
 */
export function gather<Q, A>(answerAll: AnswerAll<Q, A>, mostAtOnce: number): Ask<Q, A> {
  let questions: Q[] = [];
  let pending: Pending<A>[] = [];

  function send(): void {
    if (questions.length === 0) return;
    const asked = pending;
    const answers = answerAll(questions);
    questions = [];
    pending = [];
    answers.then(
      (all) => asked.forEach((each, index) => settle(each, all[index] as A | Error)),
      (error: unknown) => asked.forEach(({ reject }) => reject(error)),
    );
  }

  return (question) =>
    new Promise((resolve, reject) => {
      if (questions.push(question) === 1) setImmediate(send);
      pending.push({ resolve, reject });
      if (questions.length >= mostAtOnce) send();
    });
}

function settle<A>({ resolve, reject }: Pending<A>, answer: A | Error): void {
  if (answer instanceof Error) reject(answer);
  else resolve(answer);
}
