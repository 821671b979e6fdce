import type { Demo } from "../model/demo.ts";
import { createRace, type Race, raceBoard } from "../model/race.ts";
import { useModel } from "../model/use-model.ts";
import { Alert } from "../parts/alert.tsx";
import { Refusal } from "../parts/refusal.tsx";
import type { DemoView } from "../view.ts";
import { BoardRows } from "./board-rows.tsx";
import "./race.css";

export const raceView: DemoView = {
  id: "race",
  title: "Race",
  View: RaceView,
  call: ({ login }) => ({
    method: "PUT",
    path: `/v1/leaderboards/${raceBoard}/scores/${encodeURIComponent(login.name)}`,
    body: { score: 25 },
  }),
};

const points = 10;

function RaceView({ demo }: { demo: Demo }) {
  const race = useModel(() => createRace(demo), [demo]);
  return (
    <div class="view">
      <header class="view-head">
        <h1>Race</h1>
        <OwnRank race={race} />
      </header>
      <Acts demo={demo} race={race} />
      {race.refusal.value === undefined ? <Boards demo={demo} race={race} /> : <Refusal text={race.refusal.value} />}
      <p class="hint">
        The top is pushed as differences, at most one every 100 ms however many scores come; the own rank likewise, from
        anywhere on the board. Who is around beyond the top is asked for, at most once a second.
      </p>
    </div>
  );
}

function OwnRank({ race }: { race: Race }) {
  const { revision, total } = race.board.value;
  const own = race.own.value;
  return (
    <p class="race-own-rank">
      <span role="status">
        {own === undefined ? (
          "You are not on the board yet"
        ) : (
          <>
            You are <b>{own.rank}</b> of {Math.max(total, own.rank)} with <b>{own.score}</b>
          </>
        )}
      </span>
      <span>
        revision <b>{revision}</b>
      </span>
      <span class={`is-${race.state.value === "subscribed" ? "good" : "calm"}`}>
        {race.state.value === "subscribed" ? "live" : race.state.value}
      </span>
    </p>
  );
}

function Acts({ demo, race }: { demo: Demo; race: Race }) {
  const { apiKey } = demo.login;
  const isBusy = race.attempts.isBusy.value || race.refusal.value !== undefined;
  const submitted = race.submitted.value;
  return (
    <>
      <div class="row">
        {apiKey !== undefined && (
          <button
            type="button"
            class="primary submit-many"
            disabled={isBusy}
            onClick={() => void race.submitMany(apiKey)}
          >
            {submitted === undefined ? "Submit 1,000 random scores" : `Submitted ${submitted} …`}
          </button>
        )}
        <button
          type="button"
          disabled={isBusy || demo.state.value !== "connected"}
          onClick={() => void race.score(points)}
        >
          Score {points} for me
        </button>
      </div>
      <Alert text={race.attempts.error.value} />
    </>
  );
}

function Boards({ demo, race }: { demo: Demo; race: Race }) {
  const { entries } = race.board.value;
  const around = race.around.value;
  const ownName = demo.login.name;
  if (entries.length === 0) {
    return (
      <p class="empty">{race.state.value === "subscribed" ? "Nobody has scored yet." : "Asking for the board…"}</p>
    );
  }
  return (
    <div class="boards">
      <section aria-labelledby="race-top">
        <h2 id="race-top">Top {entries.length}</h2>
        <BoardRows label="Top" entries={entries} ownName={ownName} />
      </section>
      <section aria-labelledby="race-around">
        <h2 id="race-around">Around you</h2>
        {around.length === 0 ? (
          <p class="hint">Score once and see who is close.</p>
        ) : (
          <BoardRows label="Around you" entries={around} ownName={ownName} />
        )}
      </section>
    </div>
  );
}
