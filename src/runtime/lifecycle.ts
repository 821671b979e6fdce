import type { Clock } from "./clock.ts";
import type { Logger } from "./logger.ts";

/** A service that is started and stopped, each at most once. One without `start` is open from the beginning. */
export interface Service {
  name: string;
  start?(): Promise<void> | void;
  /** `deadline` aborts when the time for a graceful stop is over. */
  stop?(deadline: AbortSignal): Promise<void> | void;
}

export interface Lifecycle {
  add(service: Service): void;
  /**
   * Starts all services in the order in which they were added. If one fails, it stops the started ones and throws; it also
   * throws if `stop` was called meanwhile, and without an effect if it was called before, or after `stop`.
   */
  start(): Promise<void>;
  /**
   * Stops all services in reverse order, first the one that is being started, once it has. Every caller gets the same promise;
   * true if all stopped before the deadline.
   */
  stop(timeoutMs: number): Promise<boolean>;
}

export function createLifecycle({ clock, log }: { clock: Clock; log: Logger }): Lifecycle {
  const services: Service[] = [];
  const started: Service[] = [];
  let isStarted = false;
  let starting: Promise<void> | undefined;
  let stopping: Promise<boolean> | undefined;

  async function stopStarted(timeoutMs: number): Promise<boolean> {
    const deadline = new AbortController();
    const cancel = clock.after(timeoutMs, () => deadline.abort());
    await Promise.race([starting?.catch(() => undefined), late(deadline.signal)]);
    let isClean = true;
    const open = isStarted ? started.splice(0) : services.filter(({ start }) => start === undefined);
    for (const service of open.toReversed()) {
      isClean = (await stopOne(service, deadline.signal)) && isClean;
    }
    cancel();
    return isClean;
  }

  async function stopOne(service: Service, deadline: AbortSignal): Promise<boolean> {
    try {
      const stopped = Promise.resolve(service.stop?.(deadline)).then(() => "stopped");
      const outcome = await Promise.race([stopped, late(deadline)]);
      if (outcome === "late") log.warn({ service: service.name }, "service did not stop before the deadline");
      return outcome !== "late";
    } catch (error) {
      log.error({ service: service.name, err: error }, "stopping a service failed");
      return false;
    }
  }

  async function startOne(service: Service): Promise<void> {
    await service.start?.();
    started.push(service);
  }

  async function startAll(): Promise<void> {
    for (const service of services) {
      checkNotStopped();
      starting = startOne(service);
      await starting;
    }
    checkNotStopped();
  }

  function checkUnused(): void {
    if (isStarted || stopping !== undefined)
      throw new Error("It was already started or closed, and starts only once; create another one.");
  }

  function checkNotStopped(): void {
    if (stopping !== undefined) throw new Error("stopped before everything had started");
  }

  return {
    add: (service) => void services.push(service),
    async start() {
      checkUnused();
      isStarted = true;
      try {
        await startAll();
      } catch (error) {
        await stopping;
        // What has started after that was stopped, or before a failure.
        await stopStarted(stopping === undefined ? failureTimeoutMs : 0);
        throw error;
      }
    },
    stop: (timeoutMs) => (stopping ??= stopStarted(timeoutMs)),
  };
}

/** Time for the services that had started when one failed to. */
const failureTimeoutMs = 5_000;

const late = (deadline: AbortSignal): Promise<"late"> =>
  new Promise((resolve) => {
    if (deadline.aborted) resolve("late");
    deadline.addEventListener("abort", () => resolve("late"), { once: true });
  });
