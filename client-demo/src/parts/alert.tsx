/** An error, announced by screen readers. The element always exists, because they only watch existing live regions. */
export function Alert({ text }: { text: string | undefined }) {
  return (
    <div role="alert" class={text === undefined ? "alert is-empty" : "alert"}>
      {text}
    </div>
  );
}
