import { type Bin, binMs, mostBins } from "../model/gun.ts";

const width = 600;
const height = 176;
/** The level above, what was fired below. */
const levelHeight = 112;
const barsTop = 124;
const barsHeight = height - barsTop;
const step = width / mostBins;

/** The last seconds: how the level went, and how many messages were let through and refused. */
export function Strip({ bins, capacity }: { bins: readonly Bin[]; capacity: number }) {
  const last = bins.at(-1)?.index ?? 0;
  const x = (index: number): number => width - (last - index + 1) * step;
  const y = (level: number): number => 4 + (1 - level / capacity) * (levelHeight - 4);
  const most = Math.max(10, ...bins.map(({ accepted, refused }) => accepted + refused));
  const line = bins.map(({ index, level }) => `${x(index + 0.5).toFixed(1)},${y(level).toFixed(1)}`).join(" ");
  const first = bins[0];
  return (
    <figure class="strip">
      <svg viewBox={`0 0 ${width} ${height}`} preserveAspectRatio="none" aria-hidden="true">
        <line class="strip-full" x1={0} x2={width} y1={y(capacity)} y2={y(capacity)} />
        <line class="strip-ground" x1={0} x2={width} y1={levelHeight} y2={levelHeight} />
        {first !== undefined && (
          <polygon
            class="strip-area"
            points={`${x(first.index + 0.5)},${levelHeight} ${line} ${x(last + 0.5)},${levelHeight}`}
          />
        )}
        <polyline class="strip-line" points={line} />
        {bins.map((bin) => (
          <Bar key={bin.index} bin={bin} left={x(bin.index)} unit={barsHeight / most} />
        ))}
      </svg>
      <figcaption class="hint">
        The last {(mostBins * binMs) / 1_000} seconds: the level, and below it messages{" "}
        <span class="key is-through">let through</span> and <span class="key is-refused">refused</span>.
      </figcaption>
    </figure>
  );
}

function Bar({ bin, left, unit }: { bin: Bin; left: number; unit: number }) {
  const through = bin.accepted * unit;
  const refused = bin.refused * unit;
  if (through + refused === 0) return null;
  return (
    <>
      <rect class="is-through" x={left + 0.5} width={step - 1} y={height - through} height={through} />
      <rect class="is-refused" x={left + 0.5} width={step - 1} y={height - through - refused} height={refused} />
    </>
  );
}
