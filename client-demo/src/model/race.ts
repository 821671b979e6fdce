import { computed, type ReadonlySignal, signal } from "@preact/signals";
import type { BoardEntry, ChannelState, OwnEntry } from "../../../src/client/client.ts";
import { type Attempts, createAttempts, messageOf } from "./attempt.ts";
import { type BackendCall, callBackend } from "./backend.ts";
import type { Demo } from "./demo.ts";
import { pause } from "./pause.ts";

export const raceBoard = "race";

export interface BoardState {
  entries: readonly BoardEntry[];
  revision: number;
  total: number;
}

/** A live board, and actions that change it. */
export interface Race {
  readonly board: ReadonlySignal<BoardState>;
  /** As the lists show it, so that no two places of the page disagree. */
  readonly own: ReadonlySignal<OwnEntry | undefined>;
  /** The entries around the user, as far as possible of the top; empty if the user is not on the board. */
  readonly around: ReadonlySignal<readonly BoardEntry[]>;
  readonly state: ReadonlySignal<ChannelState>;
  readonly refusal: ReadonlySignal<string | undefined>;
  /** Number of scores submitted so far by `submitMany`; undefined if it is not running. */
  readonly submitted: ReadonlySignal<number | undefined>;
  readonly attempts: Attempts;
  /** Submits a thousand random scores over HTTP in batches, as a busy backend would. */
  submitMany(apiKey: string): Promise<void>;
  /** Submits the user's own score through the client. */
  score(points: number): Promise<void>;
  stop(): void;
}

const portions = 20;
const portionSize = 50;
const portionEveryMs = 150;

/** Min time between two requests for the entries around the user, which are not pushed. */
const aroundEveryMs = 1_000;
const aroundRadius = 2;

const racers =
  "Alba Bruno Carla Dario Edith Fadi Greta Hugo Ines Jonas Kaja Liam Mira Nils Olga Pablo Quinn Rosa Sven Tessa Uma Viktor Wanda Xaver Yara Zeno Amir Bela Cleo Dina Emil Flora Goran Hedda Ivo Juno Karl Lea Milo Nora".split(
    " ",
  );

export function createRace({ client, login }: Demo): Race {
  const live = client.leaderboard(raceBoard);
  const board = signal<BoardState>({ entries: live.entries, revision: live.revision, total: live.total });
  const pushed = signal<OwnEntry | undefined>(live.own);
  const asked = signal<readonly BoardEntry[]>([]);
  const isOwn = ({ member }: BoardEntry): boolean => member === login.name;
  const around = computed(() => aroundOf(board.value.entries, asked.value, isOwn));
  const own = computed(() => around.value.find(isOwn) ?? pushed.value);
  const state = signal<ChannelState>(live.state);
  const refusal = signal<string | undefined>(undefined);
  const submitted = signal<number | undefined>(undefined);
  const attempts = createAttempts();
  const refresh = atMostEvery(aroundEveryMs, () => void askAround());
  let isOver = false;

  live.on("change", (now) => {
    board.value = now;
    refresh.soon();
  });
  live.on("own", (now) => {
    pushed.value = now;
    refresh.soon();
  });
  live.on("state", (change) => (state.value = change.state));
  live.loaded.catch((error: unknown) => (refusal.value = messageOf(error)));

  async function askAround(): Promise<void> {
    const found = await live.around(aroundRadius).catch(() => undefined);
    if (found !== undefined) asked.value = found.entries;
  }

  async function submitAll(apiKey: string): Promise<void> {
    try {
      for (let portion = 0; portion < portions && !isOver; portion += 1) {
        submitted.value = portion * portionSize;
        await callBackend(apiKey, scoresCall(randomScores([...racers, login.name])));
        await pause(portionEveryMs);
      }
    } finally {
      submitted.value = undefined;
    }
  }

  return {
    board,
    own,
    around,
    state,
    refusal,
    submitted,
    attempts,
    submitMany: (apiKey) => attempts.run(() => submitAll(apiKey)),
    score: (points) => attempts.run(() => live.submit(points)),
    stop() {
      isOver = true;
      refresh.stop();
      live.close();
    },
  };
}

/** What was asked for is up to a second old, the top is live: whoever is in the top is shown as there. */
function aroundOf(
  top: readonly BoardEntry[],
  asked: readonly BoardEntry[],
  isOwn: (entry: BoardEntry) => boolean,
): readonly BoardEntry[] {
  const place = top.findIndex(isOwn);
  const inTop = new Set(top.map(({ member }) => member));
  const others = asked.filter(({ member, rank }) => rank > top.length && !inTop.has(member));
  if (place === -1) return others;
  const next = top.slice(Math.max(place - aroundRadius, 0), place + aroundRadius + 1);
  return [...next, ...others.filter(({ rank }) => rank <= place + 1 + aroundRadius)];
}

/** Few different scores, so that many are tied. */
function randomScores(members: readonly string[]): { member: string; score: number }[] {
  const whole = (below: number): number => Math.floor(Math.random() * below);
  return Array.from({ length: portionSize }, () => ({
    member: members[whole(members.length)] ?? "",
    score: 5 * (1 + whole(4)),
  }));
}

const scoresCall = (scores: readonly object[]): BackendCall => ({
  method: "POST",
  path: `/v1/leaderboards/${raceBoard}/scores`,
  body: { scores, ranks: false },
});

/** Throttles `run`: at once if it has not run within `everyMs`, otherwise once afterwards. */
function atMostEvery(everyMs: number, run: () => void) {
  let timer: ReturnType<typeof setTimeout> | undefined;
  let ranAt = -everyMs;
  return {
    soon(): void {
      timer ??= setTimeout(
        () => {
          timer = undefined;
          ranAt = performance.now();
          run();
        },
        Math.max(0, ranAt + everyMs - performance.now()),
      );
    },
    stop: () => clearTimeout(timer),
  };
}
