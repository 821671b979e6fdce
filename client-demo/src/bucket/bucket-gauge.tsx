/** Shows the level of the bucket. */
export function BucketGauge({ level, capacity }: { level: number; capacity: number }) {
  const share = Math.max(0, Math.min(1, level / capacity));
  return (
    <div
      class="gauge"
      role="meter"
      aria-label="Tokens in the bucket"
      aria-valuemin={0}
      aria-valuemax={capacity}
      aria-valuenow={Math.floor(level)}
    >
      <span class={share < 0.02 ? "gauge-fill is-empty" : "gauge-fill"} style={{ transform: `scaleY(${share})` }} />
      <span class="gauge-level">{Math.floor(level)}</span>
      <span class="gauge-capacity">of {capacity}</span>
    </div>
  );
}
