import { type Bin, binMs, maxBins } from "../model/load-generator.ts";

const width = 600;
const height = 176;
/** The level above, sent messages below. */
const levelHeight = 112;
const barsTop = 124;
const barsHeight = height - barsTop;
const step = width / maxBins;

/** The last seconds: the bucket's level, and the number of accepted and refused messages. */
export function BucketChart({ bins, capacity }: { bins: readonly Bin[]; capacity: number }) {
  const last = bins.at(-1)?.index ?? 0;
  const x = (index: number): number => width - (last - index + 1) * step;
  const y = (level: number): number => 4 + (1 - level / capacity) * (levelHeight - 4);
  const most = Math.max(10, ...bins.map(({ accepted, refused }) => accepted + refused));
  const line = bins.map(({ index, level }) => `${x(index + 0.5).toFixed(1)},${y(level).toFixed(1)}`).join(" ");
  const first = bins[0];
  return (
    <figure class="chart">
      <svg viewBox={`0 0 ${width} ${height}`} preserveAspectRatio="none" aria-hidden="true">
        <line class="chart-capacity" x1={0} x2={width} y1={y(capacity)} y2={y(capacity)} />
        <line class="chart-baseline" x1={0} x2={width} y1={levelHeight} y2={levelHeight} />
        {first !== undefined && (
          <polygon
            class="chart-area"
            points={`${x(first.index + 0.5)},${levelHeight} ${line} ${x(last + 0.5)},${levelHeight}`}
          />
        )}
        <polyline class="chart-line" points={line} />
        {bins.map((bin) => (
          <Bar key={bin.index} bin={bin} left={x(bin.index)} unit={barsHeight / most} />
        ))}
      </svg>
      <figcaption class="hint">
        The last {(maxBins * binMs) / 1_000} seconds: the level, and below it messages{" "}
        <span class="key is-accepted">accepted</span> and <span class="key is-refused">refused</span>.
      </figcaption>
    </figure>
  );
}

function Bar({ bin, left, unit }: { bin: Bin; left: number; unit: number }) {
  const accepted = bin.accepted * unit;
  const refused = bin.refused * unit;
  if (accepted + refused === 0) return null;
  return (
    <>
      <rect class="is-accepted" x={left + 0.5} width={step - 1} y={height - accepted} height={accepted} />
      <rect class="is-refused" x={left + 0.5} width={step - 1} y={height - accepted - refused} height={refused} />
    </>
  );
}
