export function Wordmark() {
  return (
    <span class="wordmark">
      <img src={`${import.meta.env.BASE_URL}tide.svg`} alt="" width={28} height={28} />
      <span>Tidegate</span>
    </span>
  );
}
