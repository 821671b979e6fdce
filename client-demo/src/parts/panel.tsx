import type { ComponentChildren } from "preact";

/** A titled box of the side column. */
export function PanelBox({ id, title, children }: { id: string; title: string; children: ComponentChildren }) {
  return (
    <section class="card panel" aria-labelledby={`${id}-title`}>
      <h2 id={`${id}-title`}>{title}</h2>
      {children}
    </section>
  );
}
