import { expect, test } from "vitest";
import { hasData, recordedStateOf, stateOf } from "../../src/connections/socket-state.ts";

const user = { userId: "ada", sessionId: "s", roles: [] };
const restored = (rooms: readonly unknown[], data: unknown) => stateOf(recordedStateOf(rooms, data).text);

test("rooms and data come back as they were, without the user and what is undefined", () => {
  const data = { user, name: "Ada", score: [1, -2.5, { deep: null }], away: undefined, "odd name": { user: "kept" } };

  expect(restored(["table-7", 42], data)).toStrictEqual({
    rooms: ["table-7", 42],
    data: { name: "Ada", score: [1, -2.5, { deep: null }], "odd name": { user: "kept" } },
  });
});

test("a name that has a meaning in JavaScript is a name like any other", () => {
  const data = JSON.parse('{"__proto__": {"isAdmin": true}}') as object;

  const state = restored([], data);

  expect(Object.keys(state?.data ?? {})).toEqual(["__proto__"]);
  expect(state?.data.isAdmin).toBeUndefined();
});

test("a socket to which the app has given nothing has nothing to record", () => {
  for (const data of [{}, { user }]) {
    expect(hasData(data)).toBe(false);
    expect(recordedStateOf([], data)).toEqual({ text: "" });
  }
});

class Player {
  name = "Ada";
}
const circular: Record<string, unknown> = {};
circular.self = { circular };

test.each([
  ["a function", { on: () => 1 }, "data.on is not JSON: function"],
  ["a bigint", { big: 1n }, "data.big is not JSON: bigint"],
  ["a map", { cart: { items: new Map() } }, "data.cart.items is not JSON: Map"],
  ["a date", { at: [new Date(0)] }, "data.at[0] is not JSON: Date"],
  ["an instance of a class", { player: new Player() }, "data.player is not JSON: Player"],
  ["a buffer", { bytes: Buffer.from("a") }, "data.bytes is not JSON: Buffer"],
  ["a timer", { timer: setTimeout(() => undefined) }, "data.timer is not JSON: Timeout"],
  ["no number", { score: Number.NaN }, "data.score is not JSON: number"],
  ["a hole", { list: [1, undefined] }, "data.list[1] is not JSON: undefined"],
  ["a symbol as a name", { of: { [Symbol("x")]: 1 } }, "data.of is not JSON: Object"],
  ["a circle", circular, "nested too deeply, or circular"],
  ["another object in its place", new Map([["a", 1]]), "data is not a plain object"],
  ["a list in its place", [], "data is not a plain object"],
  ["nothing in its place", undefined, "data is not a plain object"],
  [
    "a getter that throws",
    {
      get name() {
        throw new Error("no name");
      },
    },
    "no name",
  ],
  ["too much", { text: "x".repeat(16_384) }, "more than 16384 bytes of JSON"],
  ["too much that is short before it is encoded", { text: "ü".repeat(9_000) }, "more than 16384 bytes of JSON"],
])("data with %s is not recorded, which its recovery tells", (_what, data, problem) => {
  const recorded = recordedStateOf([], data);

  expect(recorded.problem).toContain(problem);
  expect(hasData(data)).toBe(true);
  expect(stateOf(recorded.text)).toBeUndefined();
});

test("rooms are recorded up to a number, and only those that are strings or numbers", () => {
  const rooms = (count: number) => Array.from({ length: count }, (_, index) => `room-${index}`);

  expect(restored(rooms(256), {})?.rooms).toHaveLength(256);
  expect(recordedStateOf(rooms(257), {}).problem).toBe("more than 256 rooms");
  expect(recordedStateOf([Symbol("room")], {}).problem).toBe("rooms is not JSON: symbol");
  expect(recordedStateOf([{ room: 1 }], {}).problem).toBe("a room is an object");
});

test("data of any size costs little more to look at than what may be recorded", () => {
  let looks = 0;
  const list = new Proxy(
    Array.from({ length: 1_000_000 }, () => 1),
    {
      get(target, key, receiver) {
        looks += 1;
        return Reflect.get(target, key, receiver) as unknown;
      },
    },
  );

  expect(recordedStateOf([], { list }).problem).toContain("more than");
  expect(looks).toBeLessThan(20_000);
});
