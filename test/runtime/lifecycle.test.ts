import { expect, test } from "vitest";
import { createLifecycle, type Service } from "../../src/runtime/lifecycle.ts";
import { FakeClock, settled } from "../support/fake-clock.ts";
import { quietLog } from "../support/world.ts";

/** Three services, of which the second starts when told to, or fails to. */
function threeServices() {
  const clock = new FakeClock();
  const lifecycle = createLifecycle({ clock, log: quietLog });
  const events: string[] = [];
  const { promise: second, resolve: startSecond, reject: failSecond } = Promise.withResolvers<void>();
  const service = (name: string, start: () => Promise<void> | void): Service => ({
    name,
    async start() {
      await start();
      events.push(`${name} started`);
    },
    stop: () => void events.push(`${name} stopped`),
  });
  lifecycle.add(service("first", () => undefined));
  lifecycle.add(service("second", () => second));
  lifecycle.add(service("third", () => undefined));
  return { clock, lifecycle, events, startSecond, failSecond };
}

const messageOf = ({ message }: Error): string => message;

const wasStopped = "stopped before everything had started";

test("a service that is being started when all are stopped is stopped too, and none after it starts", async () => {
  const { lifecycle, events, startSecond } = threeServices();
  const started = lifecycle.start().catch(messageOf);
  await settled();

  const stopped = lifecycle.stop(1_000);
  await settled();
  startSecond();

  expect(await stopped).toBe(true);
  expect(await started).toBe(wasStopped);
  expect(events).toEqual(["first started", "second started", "second stopped", "first stopped"]);
});

test("a service that starts only after the deadline is stopped then", async () => {
  const { clock, lifecycle, events, startSecond } = threeServices();
  const started = lifecycle.start().catch(messageOf);
  await settled();

  const stopped = lifecycle.stop(1_000);
  await clock.advance(1_000);
  expect(await stopped).toBe(false);
  startSecond();

  expect(await started).toBe(wasStopped);
  expect(events).toEqual(["first started", "first stopped", "second started", "second stopped"]);
});

test("a service that fails to start stops those before it, once", async () => {
  const { lifecycle, events, failSecond } = threeServices();
  const started = lifecycle.start().catch(messageOf);
  await settled();

  const stopped = lifecycle.stop(1_000);
  failSecond(new Error("taken"));

  expect(await started).toBe("taken");
  await stopped;
  expect(events).toEqual(["first started", "first stopped"]);
});
