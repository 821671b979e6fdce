import { useSignal } from "@preact/signals";

/** Copies a text, or selects it if the page may not copy (without TLS). */
export function CopyButton({ text, selects }: { text: string; selects: () => HTMLElement | null }) {
  const label = useSignal("Copy");

  async function copy(): Promise<void> {
    try {
      await navigator.clipboard.writeText(text);
      label.value = "Copied";
    } catch {
      select(selects());
      label.value = "Selected";
    }
    setTimeout(() => (label.value = "Copy"), 1_500);
  }

  return (
    <button type="button" aria-live="polite" onClick={() => void copy()}>
      {label}
    </button>
  );
}

function select(element: HTMLElement | null): void {
  if (element !== null) getSelection()?.selectAllChildren(element);
}
