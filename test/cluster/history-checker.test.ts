import { describe, expect, test } from "vitest";
import { History, type Verdict } from "../support/history-checker.ts";

const fine: Verdict = {
  acknowledged: 0,
  delivered: 0,
  lost: 0,
  repeated: 0,
  reordered: 0,
  duplicated: 0,
  forked: 0,
  reported: 0,
  unreported: 0,
};

/** A history written by hand: one channel, ids `p<offset>`, one tick an event. */
function story() {
  const history = new History();
  let now = 0;
  const channel = "chat:a";
  return {
    history,
    acked(offset: number, { epoch = "e", id = `p${offset}`, sentAt = ++now } = {}) {
      history.acknowledged({ channel, id, epoch, offset, sentAt, acknowledgedAt: ++now });
    },
    began: (offset: number, epoch = "e") => history.began({ reader: "r", channel, epoch, offset, at: ++now }),
    told: (offset: number, epoch = "e") => history.reset({ reader: "r", channel, epoch, offset, at: ++now }),
    got(offset: number, { epoch = "e", id = `p${offset}` } = {}) {
      history.delivered({ reader: "r", channel, epoch, offset, id });
    },
  };
}

describe("the history checker", () => {
  test("finds nothing wrong where everything arrived once and in order", () => {
    const { history, acked, began, got } = story();
    acked(1);
    began(1);
    for (const offset of [2, 3]) {
      acked(offset);
      got(offset);
    }

    expect(history.verdict()).toEqual({ ...fine, acknowledged: 3, delivered: 2 });
  });

  test("owes a reader nothing from before it began", () => {
    const { history, acked, began } = story();
    acked(1);
    acked(2);
    began(2);

    expect(history.verdict()).toEqual({ ...fine, acknowledged: 2 });
  });

  test("calls lost what was acknowledged and never came, at the end and in between", () => {
    const { history, acked, began, got } = story();
    began(0);
    for (const offset of [1, 2, 3, 4]) acked(offset);
    got(1);
    got(3);

    expect(history.verdict()).toMatchObject({ lost: 2, unreported: 1 });
    expect(history.examples).toContain("1 skipped before: r chat:a e:3 p3 ");
  });

  test("calls a hole untold even where nobody was promised what is missing", () => {
    const { history, began, got } = story();
    began(0);
    got(1);
    got(3);

    expect(history.verdict()).toMatchObject({ lost: 0, unreported: 1 });
  });

  test("does not call lost what the reader was told is gone", () => {
    const { history, acked, began, told, got } = story();
    began(0);
    for (const offset of [1, 2, 3, 4]) acked(offset);
    got(1);
    told(3);
    got(4);

    expect(history.verdict()).toEqual({ ...fine, acknowledged: 4, delivered: 2, reported: 1 });
  });

  test("still calls untold a hole that was there before the reader was told", () => {
    const { history, acked, began, told, got } = story();
    began(0);
    for (const offset of [1, 2, 3]) acked(offset);
    got(1);
    got(3);
    told(7);

    expect(history.verdict()).toMatchObject({ lost: 1, unreported: 1, reported: 1 });
  });

  test("tells what came late from what came twice", () => {
    const { history, began, got } = story();
    began(0);
    for (const offset of [1, 3, 2, 2]) got(offset);

    expect(history.verdict()).toMatchObject({ reordered: 1, repeated: 1, unreported: 0 });
  });

  test("takes a generation for the same log where it begins behind what the reader has", () => {
    const { history, acked, began, got } = story();
    began(0);
    for (const offset of [1, 2]) acked(offset);
    for (const offset of [1, 2]) got(offset);
    acked(3, { epoch: "f" });
    got(3, { epoch: "f" });

    expect(history.verdict()).toEqual({ ...fine, acknowledged: 3, delivered: 3 });
  });

  test("calls untold a generation that gave again what the reader had read", () => {
    const { history, acked, began, got } = story();
    began(0);
    for (const offset of [1, 2]) got(offset);
    acked(2, { epoch: "f", id: "other" });
    acked(3, { epoch: "f" });
    got(3, { epoch: "f" });

    expect(history.verdict()).toMatchObject({ unreported: 1 });
  });

  test("calls repeated what the reader had before it began", () => {
    const { history, began, got } = story();
    began(5);
    got(5);

    expect(history.verdict()).toMatchObject({ repeated: 1 });
  });

  test("holds acknowledgements against the order of publishing", () => {
    const { history, acked } = story();
    acked(2, { id: "first" });
    acked(1, { id: "second" });

    expect(history.verdict()).toMatchObject({ reordered: 1 });
  });

  test("lets publications that were under way together stand in any order", () => {
    const { history, acked } = story();
    acked(2, { id: "a", sentAt: 0 });
    acked(1, { id: "b", sentAt: 0 });

    expect(history.verdict()).toMatchObject({ reordered: 0 });
  });

  test("sees a publication that stands twice, once however many read it", () => {
    const { history, began, got } = story();
    began(0);
    got(1, { id: "same" });
    got(2, { id: "same" });

    expect(history.verdict()).toMatchObject({ duplicated: 1, forked: 0 });
  });

  test("sees two publications at one place", () => {
    const { history, acked, began, got } = story();
    began(0);
    got(1, { id: "heard before the failover" });
    acked(1, { id: "acknowledged after it" });

    expect(history.verdict()).toMatchObject({ forked: 1 });
  });

  test("calls lost what was acknowledged where the reader read something else, unless it was told afterwards", () => {
    const { history, acked, began, told, got } = story();
    began(0);
    got(1, { id: "heard before the failover" });
    acked(1, { id: "acknowledged after it" });

    expect(history.verdict()).toMatchObject({ lost: 1, unreported: 0 });
    told(1);
    expect(history.verdict()).toMatchObject({ lost: 0, reported: 1 });
  });

  test("sees an epoch that changed without a word", () => {
    const { history, began, got } = story();
    began(4);
    got(1, { epoch: "f" });

    expect(history.verdict()).toMatchObject({ unreported: 1 });
  });

  test("calls lost what went into an epoch that a reader never heard of", () => {
    const { history, acked, began } = story();
    acked(1, { epoch: "before" });
    began(1);
    acked(1, { epoch: "f", id: "new" });

    expect(history.verdict()).toMatchObject({ lost: 1 });
  });

  test("does not mind what went into an epoch that ended before the reader was told", () => {
    const { history, acked, began, told, got } = story();
    began(1);
    acked(1, { epoch: "f", id: "gone" });
    told(0, "g");
    got(1, { epoch: "g", id: "new" });

    expect(history.verdict()).toMatchObject({ lost: 0, reported: 1, unreported: 0 });
  });
});
