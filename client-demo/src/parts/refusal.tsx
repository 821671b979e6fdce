/** Shown instead of data that the gateway refused. */
export function Refusal({ text, onRetry }: { text: string; onRetry?: () => void }) {
  return (
    <div class="empty feed" role="alert">
      <p>The gateway refused this.</p>
      <p>
        <code>{text}</code>
      </p>
      {onRetry !== undefined && (
        <button type="button" onClick={onRetry}>
          Try again
        </button>
      )}
    </div>
  );
}
