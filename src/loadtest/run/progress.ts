import { MultiBar, Presets, type SingleBar } from "cli-progress";
import type { Row } from "./timeline.ts";

/** Progress output of a run. */
export interface Progress {
  /** Starts a part of the run, which ends at `total`. */
  begin(part: string, total: number): void;
  at(value: number): void;
  /** Once a second. */
  tick(row: Row): void;
  say(line: string): void;
  end(): void;
}

/** Summary of one second in one line. */
export function lineOf({ gauges, counts, latencies }: Row): string {
  const { live } = latencies;
  const parts = [
    `${gauges["reading"] ?? 0} subscribed`,
    `${counts["published"] ?? 0} published/s`,
    `${counts["delivered"] ?? 0} delivered/s`,
  ];
  if (live !== undefined && live.count > 0)
    parts.push(`p50 ${live.p50.toFixed(1)} ms`, `p99 ${live.p99.toFixed(1)} ms`);
  return parts.join(", ");
}

/** One progress bar per part of the run, for terminals. */
export function createBars(stream: NodeJS.WritableStream): Progress {
  const format = "{part} {bar} {value}/{total} {words}";
  const bars = new MultiBar(
    { format, stream, noTTYOutput: true, hideCursor: true, forceRedraw: true, barsize: 24 },
    Presets.shades_classic,
  );
  let bar: SingleBar | undefined;
  let part = "";
  let total = 0;
  let ticks = 0;
  let hasEnded = false;

  const finish = (): void => bar?.update(total);
  return {
    begin(name, end) {
      finish();
      part = name;
      total = end;
      ticks = 0;
      bar = bars.create(end, 0, { part: name.padEnd(8), words: "" });
    },
    at: (value) => bar?.update(Math.min(value, total)),
    tick(row) {
      ticks += 1;
      if (part === "load") bar?.update(Math.min(ticks, total), { words: lineOf(row) });
    },
    say: (line) => bars.log(`${line}\n`),
    end() {
      if (hasEnded) return;
      hasEnded = true;
      finish();
      bars.stop();
    },
  };
}

/** Seconds between lines. */
const linesEvery = 5;

/** Plain lines, for logs. */
export function createLines(print: (line: string) => void): Progress {
  let ticks = 0;
  return {
    begin: (part, total) => print(part === "settle" ? part : `${part}: ${total}${part === "load" ? " s" : ""}`),
    at: () => undefined,
    tick(row) {
      if (ticks++ % linesEvery === 0) print(`  ${lineOf(row)}`);
    },
    say: (line) => print(`  ${line}`),
    end: () => undefined,
  };
}
