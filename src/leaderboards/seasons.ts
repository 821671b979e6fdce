export type SeasonLength = "none" | "daily" | "weekly" | "monthly";

/** A period with its own scores. Epoch milliseconds; its end is the start of the next season. */
export interface Season {
  /** `2026-03-09`, `2026-W11` (ISO 8601: weeks start on Monday) or `2026-03`; null if the board has no seasons. */
  id: string | null;
  startsAt: number;
  endsAt: number;
}

/** How time is divided into seasons: every moment belongs to exactly one. */
export interface Calendar {
  at(moment: number): Season;
  /** Undefined if no season has this id. */
  named(id: string): Season | undefined;
}

export function calendarOf(length: SeasonLength): Calendar {
  return calendars[length];
}

const dayMs = 86_400_000;
const weekMs = 7 * dayMs;
/** 1 January 1970 was a Thursday; weeks begin on Monday. */
const mondayMs = 4 * dayMs;

const endless: Season = { id: null, startsAt: 0, endsAt: Number.MAX_SAFE_INTEGER };

const calendars: Record<SeasonLength, Calendar> = {
  none: { at: () => endless, named: () => undefined },
  daily: calendar(dayAt, /^\d{4}-\d\d-\d\d$/, (id) => Date.parse(`${id}T00:00:00Z`)),
  weekly: calendar(
    weekAt,
    /^\d{4}-W\d\d$/,
    (id) => firstWeek(Number(id.slice(0, 4))) + (Number(id.slice(6)) - 1) * weekMs,
  ),
  monthly: calendar(monthAt, /^\d{4}-\d\d$/, (id) => Date.parse(`${id}-01T00:00:00Z`)),
};

/** An id is valid only if it is the canonical id of its season: `2026-02-30` and `2026-W60` are not. */
function calendar(at: (moment: number) => Season, form: RegExp, startOf: (id: string) => number): Calendar {
  return {
    at,
    named(id) {
      const startsAt = form.test(id) ? startOf(id) : Number.NaN;
      if (Number.isNaN(startsAt)) return undefined;
      const season = at(startsAt);
      return season.id === id ? season : undefined;
    },
  };
}

function dayAt(moment: number): Season {
  const startsAt = floorTo(moment, dayMs, 0);
  return { id: isoDate(startsAt), startsAt, endsAt: startsAt + dayMs };
}

/** A week belongs to the year of its Thursday. */
function weekAt(moment: number): Season {
  const startsAt = floorTo(moment, weekMs, mondayMs);
  const year = new Date(startsAt + 3 * dayMs).getUTCFullYear();
  const week = (startsAt - firstWeek(year)) / weekMs + 1;
  return { id: `${pad(year, 4)}-W${pad(week, 2)}`, startsAt, endsAt: startsAt + weekMs };
}

function monthAt(moment: number): Season {
  const date = new Date(moment);
  const [year, month] = [date.getUTCFullYear(), date.getUTCMonth()];
  const startsAt = Date.UTC(year, month);
  return { id: isoDate(startsAt).slice(0, 7), startsAt, endsAt: Date.UTC(year, month + 1) };
}

/** The Monday of the week of 4 January, which is always in the first week. */
const firstWeek = (year: number): number => floorTo(Date.UTC(year, 0, 4), weekMs, mondayMs);

const floorTo = (moment: number, step: number, origin: number): number =>
  Math.floor((moment - origin) / step) * step + origin;

const isoDate = (moment: number): string => new Date(moment).toISOString().slice(0, 10);

const pad = (value: number, digits: number): string => String(value).padStart(digits, "0");
