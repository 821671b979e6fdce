import type { ComponentChildren } from "preact";
import { useRef, useState } from "preact/hooks";
import { messageOf } from "./api.ts";
import { textsOf } from "./form.ts";
import { number } from "./format.ts";
import type { Polled } from "./use-poll.ts";

/** Loading, error, stale, or what there is. */
export function Loaded<T>({ of, children }: { of: Polled<T>; children: (data: T) => ComponentChildren }) {
  const { data, error, isStale } = of;
  if (data === undefined && error === undefined) return <p class="state">Loading …</p>;
  return (
    <>
      {error !== undefined && (
        <p class="alert" role="alert">
          {error} {isStale && "What is shown below is from before."}{" "}
          <button type="button" onClick={of.reload}>
            Try again
          </button>
        </p>
      )}
      {data !== undefined && <div class={isStale ? "is-stale" : ""}>{children(data)}</div>}
    </>
  );
}

/** Nodes whose part is missing from what is shown. */
export function Silent({ nodes }: { nodes: readonly string[] }) {
  if (nodes.length === 0) return null;
  return (
    <p class="alert" role="status">
      No answer from {nodes.join(", ")}; what {nodes.length === 1 ? "it holds" : "they hold"} is missing here.
    </p>
  );
}

export function Card({ title, children }: { title: string; children: ComponentChildren }) {
  return (
    <section class="card">
      <h2>{title}</h2>
      {children}
    </section>
  );
}

/** A payload, shortened; undefined if this operator may not see it. */
export function Payload({ value }: { value: unknown }) {
  if (value === undefined) return <span class="soft">masked</span>;
  return <code class="payload">{JSON.stringify(value).slice(0, 400)}</code>;
}

export function Empty({ children }: { children: ComponentChildren }) {
  return <p class="state">{children}</p>;
}

export interface Column<Row> {
  title: string;
  isNumber?: boolean;
  cell: (row: Row) => ComponentChildren;
}

/** A table that scrolls sideways by itself on a phone. */
export function Table<Row>({
  caption,
  rows,
  columns,
  keyOf,
}: {
  caption: string;
  rows: readonly Row[];
  columns: readonly Column<Row>[];
  keyOf: (row: Row) => string;
}) {
  return (
    <div class="scroll" role="region" aria-label={caption} tabIndex={0}>
      <table>
        <caption class="hidden">{caption}</caption>
        <thead>
          <tr>
            {columns.map(({ title, isNumber }) => (
              <th key={title} scope="col" class={isNumber === true ? "number" : ""}>
                {title}
              </th>
            ))}
          </tr>
        </thead>
        <tbody>
          {rows.map((row) => (
            <tr key={keyOf(row)}>
              {columns.map(({ title, isNumber, cell }) => (
                <td key={title} class={isNumber === true ? "number" : ""}>
                  {cell(row)}
                </td>
              ))}
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}

/** The way to the next page of a list, and back. */
export function Pages({
  cursors,
  next,
  onChange,
}: {
  cursors: readonly string[];
  next: string | undefined;
  onChange: (cursors: string[]) => void;
}) {
  return (
    <p class="pages">
      <button type="button" disabled={cursors.length === 0} onClick={() => onChange(cursors.slice(0, -1))}>
        Previous page
      </button>{" "}
      <button
        type="button"
        disabled={next === undefined}
        onClick={() => next !== undefined && onChange([...cursors, next])}
      >
        Next page
      </button>
    </p>
  );
}

/** An act that asks before it is done, and says what came of it. */
export function Act({
  label,
  question,
  act,
  onDone,
}: {
  label: string;
  question: string;
  act: () => Promise<string>;
  onDone?: (() => void) | undefined;
}) {
  const dialog = useRef<HTMLDialogElement>(null);
  const [outcome, setOutcome] = useState<string>();

  async function perform(): Promise<void> {
    dialog.current?.close();
    setOutcome("…");
    setOutcome(await act().catch(messageOf));
    onDone?.();
  }
  return (
    <>
      <button type="button" class="danger" onClick={() => dialog.current?.showModal()}>
        {label}
      </button>{" "}
      <span role="status">{outcome}</span>
      <dialog ref={dialog} aria-label={label}>
        <p>{question}</p>
        <form method="dialog">
          <button>Back</button>{" "}
          <button type="button" class="danger" onClick={() => void perform()}>
            {label}
          </button>
        </form>
      </dialog>
    </>
  );
}

/** `2 of 3 nodes confirmed`, if not all did. */
export const confirmed = ({ nodes, acknowledged }: { nodes: number; acknowledged: number }): string =>
  acknowledged === nodes ? "" : `; ${acknowledged} of ${nodes} nodes confirmed`;

/** A form that acts, and says what came of it. What was typed stays if it is refused. */
export function ActForm({
  label,
  isDanger = false,
  act,
  onDone,
  children,
}: {
  label: string;
  /** It takes something away from people who are connected. */
  isDanger?: boolean;
  act: (texts: Record<string, string>) => Promise<string>;
  onDone?: (() => void) | undefined;
  children: ComponentChildren;
}) {
  const [outcome, setOutcome] = useState<string>();

  async function send(event: Event): Promise<void> {
    const texts = textsOf(event);
    setOutcome("…");
    try {
      setOutcome(await act(texts));
      onDone?.();
    } catch (error) {
      setOutcome(messageOf(error));
    }
  }
  return (
    <form class="search" aria-label={label} onSubmit={(event) => void send(event)}>
      {children}
      <button class={isDanger ? "danger" : ""}>{label}</button>
      <span role="status">{outcome}</span>
    </form>
  );
}

/** A line of numbers over time. */
export function Plot({ title, values, unit = "" }: { title: string; values: readonly number[]; unit?: string }) {
  const max = Math.max(...values, 0);
  const last = values.at(-1) ?? 0;
  const width = 240;
  const step = values.length > 1 ? width / (values.length - 1) : 0;
  const y = (value: number): number => 40 - (max === 0 ? 0 : (value / max) * 36);
  const points = values.map((value, index) => `${(index * step).toFixed(1)},${y(value).toFixed(1)}`).join(" ");
  const words = (value: number): string => `${number(Math.round(value * 100) / 100)}${unit}`;
  return (
    <figure class="plot">
      <figcaption>
        {title} <strong>{words(last)}</strong>
      </figcaption>
      <svg
        viewBox={`0 0 ${width} 44`}
        preserveAspectRatio="none"
        role="img"
        aria-label={`${title}, at most ${words(max)}`}
      >
        <polyline points={points} />
      </svg>
    </figure>
  );
}

export const link = (view: string, ...parts: string[]): string =>
  `#/${[view, ...parts].map((part) => encodeURIComponent(part)).join("/")}`;
