import { cpus } from "node:os";

/** Each call returns the share of this machine's CPU in use since the previous call. */
export function createCpuMeter(): () => number {
  let before = timesOf();
  return () => {
    const now = timesOf();
    const [busy, all] = [now.busy - before.busy, now.all - before.all];
    before = now;
    return all === 0 ? 0 : busy / all;
  };
}

function timesOf(): { busy: number; all: number } {
  const times = cpus().map(({ times: { idle, ...rest } }) => ({
    idle,
    busy: Object.values(rest).reduce((sum, time) => sum + time, 0),
  }));
  const busy = times.reduce((sum, time) => sum + time.busy, 0);
  return { busy, all: busy + times.reduce((sum, { idle }) => sum + idle, 0) };
}
