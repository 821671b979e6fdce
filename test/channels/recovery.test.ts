import { describe, expect, test } from "vitest";
import { mergeMissed, place, recoveryFrom } from "../../src/channels/recovery.ts";

const entry = (offset: number, timestamp: number) => ({ offset, timestamp, json: `${offset}` });
const slice = (offset: number, entries: ReturnType<typeof entry>[], isWhole = true) => ({
  epoch: "e",
  offset,
  timestamp: offset,
  isWhole,
  entries,
});

describe("placing a message of the feed", () => {
  test.each([
    ["e", 5, "next"],
    ["e", 4, "repeat"],
    ["e", 1, "repeat"],
    ["e", 6, "gap"],
    ["f", 5, "gap"],
    ["f", 1, "gap"],
  ])("epoch %s, offset %d after e:4 is a %s", (epoch, offset, placement) => {
    const message = { epoch, offset, timestamp: offset * 10, previousTimestamp: (offset - 1) * 10 };
    expect(place({ epoch: "e", offset: 4, timestamp: 40 }, message)).toBe(placement);
  });

  test.each([
    ["at the place of another", { offset: 4, timestamp: 99, previousTimestamp: 30 }],
    ["behind another than ours", { offset: 5, timestamp: 99, previousTimestamp: 41 }],
  ])("one %s, after the store lost its tail, is a gap", (_what, message) => {
    expect(place({ epoch: "e", offset: 4, timestamp: 40 }, { epoch: "e", ...message })).toBe("gap");
  });
});

describe("recovering one channel", () => {
  test.each([
    ["all that came after", slice(3, [entry(2, 2), entry(3, 3)]), true],
    ["nothing came after", slice(1, []), true],
    ["the log cannot say", slice(3, [], false), false],
    ["the first is missing", slice(3, [entry(3, 3)]), false],
    ["the last is missing", slice(3, [entry(2, 2)]), false],
    ["another epoch", { ...slice(3, [entry(2, 2), entry(3, 3)]), epoch: "f" }, false],
  ])("%s: recovered %s", (_name, found, recovered) => {
    const recovery = recoveryFrom(found, { epoch: "e", offset: 1 });
    expect(recovery.recovered).toBe(recovered);
    if (!recovered) expect(recovery.entries).toEqual([]);
  });
});

describe("recovering a connection over several channels", () => {
  test("what was missed comes in timestamp order", () => {
    const missed = mergeMissed(
      [
        { channel: "a", slice: slice(2, [entry(1, 10), entry(2, 30)]) },
        { channel: "b", slice: slice(1, [entry(1, 20)]) },
      ],
      100,
    );
    expect(missed?.entries.map(({ timestamp }) => timestamp)).toEqual([10, 20, 30]);
  });

  test("what was timestamped after the reading began is left to the feed, so that nothing of another channel falls behind it", () => {
    const missed = mergeMissed(
      [
        { channel: "a", slice: slice(7, [entry(6, 10), entry(7, 30)]) },
        { channel: "b", slice: slice(4, []) },
      ],
      20,
    );
    expect(missed?.entries.map(({ timestamp }) => timestamp)).toEqual([10]);
    expect(missed?.positions).toEqual(
      new Map([
        ["a", { epoch: "e", offset: 6 }],
        ["b", { epoch: "e", offset: 4 }],
      ]),
    );
  });

  test("one channel that cannot say what was missed refuses the whole", () => {
    expect(
      mergeMissed(
        [
          { channel: "a", slice: slice(2, [entry(2, 1)]) },
          { channel: "b", slice: slice(2, [], false) },
        ],
        9,
      ),
    ).toBeUndefined();
  });
});
