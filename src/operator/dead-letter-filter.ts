import type { DeadLetterFilter } from "../protocol/operator-queues.ts";
import type { DeadLetterStore, StoredDeadLetter } from "../redis/dead-letters.ts";

const pageSize = 500;

/** Dead letters that match a filter, oldest first; a generator, so that nothing holds them all. */
export async function* matchingLetters(
  store: Pick<DeadLetterStore, "list">,
  filter: DeadLetterFilter,
  after?: string,
): AsyncGenerator<StoredDeadLetter> {
  for (let last = after; ;) {
    const page = await store.list({ after: last, limit: pageSize });
    yield* page.filter((letter) => matches(letter, filter));
    last = page.at(-1)?.id;
    if (page.length < pageSize) return;
  }
}

function matches({ at, code, reason, command }: StoredDeadLetter, filter: DeadLetterFilter): boolean {
  return (
    (filter.code === undefined || code === filter.code) &&
    (filter.since === undefined || at >= filter.since) &&
    (filter.until === undefined || at < filter.until) &&
    (filter.reason === undefined || reason.includes(filter.reason)) &&
    (filter.type === undefined || typeOf(command) === filter.type)
  );
}

/** Of a stream command; undefined for anything else. */
export function typeOf(command: string): string | undefined {
  try {
    const { type } = JSON.parse(command) as { type?: unknown };
    return typeof type === "string" ? type : undefined;
  } catch {
    return undefined;
  }
}
