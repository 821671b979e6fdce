import { describe, expect, it } from "vitest";
import { calendarOf, type SeasonLength } from "../../src/leaderboards/seasons.ts";

const at = (length: SeasonLength, moment: string) => {
  const { id, startsAt, endsAt } = calendarOf(length).at(Date.parse(moment));
  return [id, new Date(startsAt).toISOString(), new Date(endsAt).toISOString()];
};

describe("seasons", () => {
  it("turn at midnight in UTC, on Mondays, on the first of the month", () => {
    expect(at("daily", "2026-03-08T23:59:59.999Z")).toEqual([
      "2026-03-08",
      "2026-03-08T00:00:00.000Z",
      "2026-03-09T00:00:00.000Z",
    ]);
    expect(at("daily", "2026-03-09T00:00:00Z")[0]).toBe("2026-03-09");
    expect(at("weekly", "2026-03-08T23:59:59.999Z")[0]).toBe("2026-W10");
    expect(at("weekly", "2026-03-09T00:00:00Z")).toEqual([
      "2026-W11",
      "2026-03-09T00:00:00.000Z",
      "2026-03-16T00:00:00.000Z",
    ]);
    expect(at("monthly", "2026-02-28T23:59:59.999Z")).toEqual([
      "2026-02",
      "2026-02-01T00:00:00.000Z",
      "2026-03-01T00:00:00.000Z",
    ]);
  });

  it("name weeks by the year of their Thursday", () => {
    const weeks = ["2024-12-30", "2026-01-01", "2027-01-03", "2027-01-04", "2020-12-31", "2021-01-03", "2016-01-03"];

    expect(weeks.map((day) => at("weekly", `${day}T12:00:00Z`)[0])).toEqual([
      "2025-W01",
      "2026-W01",
      "2026-W53",
      "2027-W01",
      "2020-W53",
      "2020-W53",
      "2015-W53",
    ]);
  });

  it("follow one another without a gap, and each is found again by its name", () => {
    for (const length of ["daily", "weekly", "monthly"] as const) {
      const calendar = calendarOf(length);
      let season = calendar.at(Date.parse("2019-12-20T00:00:00Z"));
      for (let turn = 0; turn < 400; turn += 1) {
        const next = calendar.at(season.endsAt);
        expect(next.startsAt).toBe(season.endsAt);
        expect(calendar.at(season.endsAt - 1)).toEqual(season);
        expect(calendar.named(season.id as string)).toEqual(season);
        season = next;
      }
    }
  });

  it("are not named by what no season bears", () => {
    const wrong: [SeasonLength, string][] = [
      ["daily", "2026-02-30"],
      ["daily", "2026-03"],
      ["daily", "2026-3-9"],
      ["weekly", "2026-W00"],
      ["weekly", "2025-W53"],
      ["weekly", "2026-W5"],
      ["monthly", "2026-13"],
      ["monthly", "2026-00"],
      ["none", "2026-03-09"],
      ["daily", "2026-03-09}:x"],
      ["daily", ""],
    ];

    expect(wrong.filter(([length, id]) => calendarOf(length).named(id) !== undefined)).toEqual([]);
  });

  it("never end where there are none", () => {
    expect(calendarOf("none").at(Date.now())).toEqual({ id: null, startsAt: 0, endsAt: Number.MAX_SAFE_INTEGER });
  });
});
