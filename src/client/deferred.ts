/** A promise and what settles it. `Promise.withResolvers` is missing in Node 18 and in browsers of 2023. */
export interface Deferred<T> {
  readonly _promise: Promise<T>;
  _resolve(value: T): void;
  _reject(reason: unknown): void;
}

export function deferred<T = void>(): Deferred<T> {
  const pending = {} as { -readonly [Name in keyof Deferred<T>]: Deferred<T>[Name] };
  pending._promise = new Promise<T>((resolve, reject) => {
    pending._resolve = resolve;
    pending._reject = reject;
  });
  return pending;
}
