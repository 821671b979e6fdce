/** The bucket itself: how high the water stands. */
export function Tank({ level, capacity }: { level: number; capacity: number }) {
  const share = Math.max(0, Math.min(1, level / capacity));
  return (
    <div
      class="tank"
      role="meter"
      aria-label="Tokens in the bucket"
      aria-valuemin={0}
      aria-valuemax={capacity}
      aria-valuenow={Math.floor(level)}
    >
      <span class={share < 0.02 ? "tank-water is-empty" : "tank-water"} style={{ transform: `scaleY(${share})` }} />
      <span class="tank-level">{Math.floor(level)}</span>
      <span class="tank-of">of {capacity}</span>
    </div>
  );
}
