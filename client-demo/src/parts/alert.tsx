/** What went wrong, read aloud as it appears. The region is always there: screen readers watch only what they know. */
export function Alert({ text }: { text: string | undefined }) {
  return (
    <div role="alert" class={text === undefined ? "alert is-empty" : "alert"}>
      {text}
    </div>
  );
}
