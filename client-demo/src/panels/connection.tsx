import { useSignal } from "@preact/signals";
import { messageOf } from "../model/attempt.ts";
import { callBackend, publishCall } from "../model/backend.ts";
import type { Demo } from "../model/demo.ts";
import type { Panel } from "../view.ts";
import { Alert } from "../parts/alert.tsx";
import { dayAndTime, duration, shortened } from "../parts/format.ts";

export const connectionPanel: Panel = { id: "connection", title: "Connection", View: ConnectionView };

const publishedMeanwhile = 3;

/** As in `style.css`: the panels are below the view. */
const isStacked = matchMedia("(max-width: 900px)");

/** The state and the view are above this panel then, out of sight. */
function showWhatHappens(): void {
  if (isStacked.matches) scrollTo({ top: 0 });
}

function ConnectionView({ demo }: { demo: Demo }) {
  return (
    <>
      <Facts demo={demo} />
      <Cut demo={demo} />
    </>
  );
}

function Facts({ demo }: { demo: Demo }) {
  const ready = demo.ready.value;
  const roundTripMs = demo.roundTripMs.value;
  return (
    <dl class="facts">
      <dt>Node</dt>
      <dd>{ready?.nodeId ?? "–"}</dd>
      <dt>Session</dt>
      <dd title={ready?.sessionId}>{ready === undefined ? "–" : shortened(ready.sessionId)}</dd>
      <dt>Token ends</dt>
      <dd>{ready === undefined ? "–" : dayAndTime(ready.expiresAt)}</dd>
      <dt>Round trip</dt>
      <dd>{roundTripMs === undefined ? "–" : duration(roundTripMs)}</dd>
    </dl>
  );
}

/** Disconnects for a while, to show the recovery. */
function Cut({ demo }: { demo: Demo }) {
  const awayMs = useSignal(4_000);
  const isPublishing = useSignal(true);
  const error = useSignal<string | undefined>(undefined);
  const { apiKey } = demo.login;

  async function cut(): Promise<void> {
    error.value = undefined;
    demo.cut(awayMs.value);
    showWhatHappens();
    const channel = demo.activeFeed.value?.name;
    if (apiKey === undefined || channel === undefined || !isPublishing.value) return;
    try {
      for (let number = 1; number <= publishedMeanwhile; number += 1) {
        const text = `Missed while away, ${number} of ${publishedMeanwhile}`;
        await callBackend(apiKey, publishCall(channel, text));
      }
    } catch (failure) {
      error.value = messageOf(failure);
    }
  }

  const isUp = demo.state.value === "connected";
  return (
    <div class="cut">
      <div class="row">
        <button type="button" class="danger" disabled={!isUp} onClick={() => void cut()}>
          Cut connection
        </button>
        <select
          aria-label="For how long"
          value={String(awayMs.value)}
          onChange={(event) => (awayMs.value = Number(event.currentTarget.value))}
        >
          <option value="0">for a moment</option>
          <option value="4000">for 4 seconds</option>
          <option value="8000">for 8 seconds</option>
        </select>
      </div>
      {apiKey !== undefined && (
        <label class="inline">
          <input
            type="checkbox"
            checked={isPublishing}
            onChange={(event) => (isPublishing.value = event.currentTarget.checked)}
          />
          Publish {publishedMeanwhile} over HTTP meanwhile
        </label>
      )}
      <Alert text={error.value} />
    </div>
  );
}
