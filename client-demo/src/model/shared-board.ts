import { computed, type ReadonlySignal, signal } from "@preact/signals";
import { type LiveState, TidegateError } from "../../../src/client/client.ts";
import type { Demo } from "./demo.ts";

/** A place on the board, in percent of its size. */
export interface Place {
  x: number;
  y: number;
}

export interface BoardNote extends Place {
  id: string;
  text: string;
  /** Who changed it last. */
  by: string;
}

export interface BoardCursor extends Place {
  id: string;
  name: string;
}

/** Notes and cursors in the state of one channel: notes stay, a cursor goes with its connection. */
export interface SharedBoard {
  readonly notes: ReadonlySignal<readonly BoardNote[]>;
  /** Those of the others. */
  readonly cursors: ReadonlySignal<readonly BoardCursor[]>;
  readonly problem: ReadonlySignal<string | undefined>;
  /** Adds an empty note of this page; returns its id. */
  add(): string;
  change(id: string, note: Place & { text: string }): void;
  remove(id: string): void;
  /** Shows the others where this pointer is. */
  point(place: Place): void;
  stop(): void;
}

export const boardChannel = "board:demo";

/** Milliseconds between two changes of a key that are sent. */
const sendEveryMs = 50;
/** Milliseconds for which a key that this page has changed shows what it changed it to. */
const ownMs = 1_000;

export function createSharedBoard({ client, login }: Demo): SharedBoard {
  const live: LiveState = client.stateOf(boardChannel);
  const entries = signal(live.entries);
  const problem = signal<string | undefined>(undefined);
  const ownCursor = `cursor:${randomId()}`;
  /** What this page changed a moment ago, so that the answer to an earlier change does not show. */
  const changed = signal<ReadonlyMap<string, BoardEntry>>(new Map());
  const unsent = new Map<string, object>();
  let timer: ReturnType<typeof setTimeout> | undefined;

  const failed = (error: unknown): void => {
    if (error instanceof TidegateError) problem.value = `${error.code}: ${error.message}`;
  };
  live.on("change", () => (entries.value = live.entries));
  live.loaded.catch(failed);

  function send(key: string, value: object): void {
    unsent.set(key, value);
    timer ??= setTimeout(flush, sendEveryMs);
  }

  function flush(): void {
    timer = undefined;
    for (const [key, value] of unsent)
      live.set(key, value, { own: key === ownCursor }).then(() => (problem.value = undefined), failed);
    unsent.clear();
  }

  function change(key: string, value: object): void {
    const entry = { value, from: { userId: login.name } };
    changed.value = new Map([...changed.value, [key, entry]]);
    setTimeout(() => {
      if (changed.value.get(key) === entry)
        changed.value = new Map([...changed.value].filter(([other]) => other !== key));
    }, ownMs);
    send(key, value);
  }

  function remove(key: string): void {
    unsent.delete(key);
    changed.value = new Map([...changed.value].filter(([other]) => other !== key));
    live.remove(key).catch(failed);
  }

  /** The entries of one sort, sorted by key, so that elements keep their order. */
  const of = (sort: string): [string, BoardEntry][] =>
    [...new Map([...entries.value, ...changed.value])]
      .filter(([key]) => key.startsWith(sort))
      .toSorted(([one], [other]) => (one < other ? -1 : 1));

  return {
    notes: computed(() =>
      of("note:").map(([id, { value, from }]) => ({ ...(value as NoteValue), id, by: from?.userId ?? "a backend" })),
    ),
    cursors: computed(() =>
      of("cursor:")
        .filter(([id]) => id !== ownCursor)
        .map(([id, { value }]) => ({ ...(value as Place & { name: string }), id })),
    ),
    problem,
    add() {
      const id = `note:${Date.now()}-${randomId()}`;
      change(id, { text: "", ...somewhere() });
      return id;
    },
    change: (id, { text, x, y }) => change(id, { text, x, y }),
    remove,
    point: (place) => send(ownCursor, { ...place, name: login.name }),
    stop() {
      clearTimeout(timer);
      live.remove(ownCursor).catch(() => undefined);
      live.close();
    },
  };
}

/** `crypto.randomUUID` is missing on pages without TLS, such as those that a phone opens by the address of this machine. */
const randomId = (): string => crypto.getRandomValues(new Uint32Array(2)).join("-");

type NoteValue = Place & { text: string };
type BoardEntry = { value: unknown; from?: { userId: string } };

const somewhere = (): Place => ({ x: Math.round(8 + Math.random() * 50), y: Math.round(8 + Math.random() * 50) });
