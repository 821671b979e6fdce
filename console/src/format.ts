export const number = (value: number): string => value.toLocaleString("en");

export const bytes = (value: number): string => {
  const units = ["B", "KiB", "MiB", "GiB"];
  const unit = Math.min(Math.floor(Math.log2(Math.max(value, 1)) / 10), units.length - 1);
  return `${number(Math.round((value / 1_024 ** unit) * 10) / 10)} ${units[unit]}`;
};

/** The last moment that a `Date` can be; backends may name later ones for “never”. */
const lastMs = 8.64e15;

export const time = (ms: number): string =>
  new Date(Math.min(ms, lastMs))
    .toISOString()
    .replace("T", " ")
    .replace(/\.\d+Z$/, "");

/** `3 s`, `5 min`, `2 h`, `4 d`. */
export function age(ms: number): string {
  const seconds = Math.max(Math.round(ms / 1_000), 0);
  if (seconds < 90) return `${seconds} s`;
  if (seconds < 5_400) return `${Math.round(seconds / 60)} min`;
  return seconds < 172_800 ? `${Math.round(seconds / 3_600)} h` : `${Math.round(seconds / 86_400)} d`;
}

export const percent = (share: number): string => `${Math.round(share * 100)} %`;
