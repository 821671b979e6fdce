import { expect, it } from "vitest";
import { Listeners } from "../../src/engine/listeners.ts";

it("calls the listeners of an event in order, with its arguments", () => {
  const listeners = new Listeners();
  const heard: unknown[] = [];
  listeners.on("data", (...args: unknown[]) => heard.push(["first", ...args]));
  listeners.on("close", () => heard.push("close"));
  listeners.on("data", (...args: unknown[]) => heard.push(["second", ...args]));

  expect(listeners.emit("data", 1, 2)).toBe(true);
  expect(listeners.emit("upgrade")).toBe(false);

  expect(heard).toEqual([
    ["first", 1, 2],
    ["second", 1, 2],
  ]);
  expect([listeners.listenerCount("data"), listeners.listenerCount("upgrade")]).toEqual([2, 0]);
});

it("calls a listener for one time once, also if it was added several times or emits itself", () => {
  const listeners = new Listeners();
  const heard: unknown[] = [];
  const again = (word: unknown): void => {
    heard.push(word);
    listeners.emit("data", "nested");
  };
  listeners.once("data", again).once("data", again);

  listeners.emit("data", "outer");

  expect(heard).toEqual(["outer", "nested"]);
  expect(listeners.listenerCount("data")).toBe(0);
});

it("removes a listener of one event only, the one added last first, also while it emits", () => {
  const listeners = new Listeners();
  const heard: string[] = [];
  const second = (): void => void heard.push("second");
  listeners.on("data", () => {
    heard.push("first");
    listeners.off("data", second);
  });
  listeners.on("data", second).on("close", second);

  listeners.emit("data");
  listeners.emit("data");
  listeners.emit("close");

  expect(heard).toEqual(["first", "second", "first", "second"]);
  expect(listeners.removeListener("close", second).listenerCount("close")).toBe(0);
});
