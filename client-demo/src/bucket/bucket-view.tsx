import { publishCall } from "../model/backend.ts";
import type { Demo } from "../model/demo.ts";
import { createGun, type Gun } from "../model/gun.ts";
import { useModel } from "../model/use-model.ts";
import { duration } from "../parts/format.ts";
import type { DemoView } from "../views.ts";
import "./bucket.css";
import { Tank } from "./tank.tsx";
import { Strip } from "./strip.tsx";

export const bucketView: DemoView = {
  id: "bucket",
  title: "Bucket",
  View: BucketView,
  call: () => publishCall("chat:bucket", "A backend's calls have a limit of their own"),
};

const paces = [0, 10, 20, 30, 60];

function BucketView({ demo }: { demo: Demo }) {
  const gun = useModel(() => createGun(demo), [demo]);
  const { capacity, refillPerSecond } = demo.bucket.rule;
  return (
    <div class="view">
      <header class="view-head">
        <h1>Your bucket of messages</h1>
        <p class="lead">
          Each message takes a token. The bucket holds {capacity} and gains {refillPerSecond} a second; where there is
          none, the gateway refuses and says when to come back.
        </p>
      </header>
      <div class="bucket">
        <Tank level={gun.level.value} capacity={capacity} />
        <Strip bins={gun.bins.value} capacity={capacity} />
      </div>
      <Trigger demo={demo} gun={gun} />
      <Outcome gun={gun} />
      <p class="hint">
        Capacity and refill are the gateway’s settings, told at sign-in. The level is this page’s own reckoning: what it
        sent, what time gave back, and each refusal sets it right. Other pages of yours draw from the same bucket
        without this one knowing. Who is refused more than 100 times in 10 seconds, as at 60 a second, is sent away by
        name and may come back.
      </p>
    </div>
  );
}

function Trigger({ demo, gun }: { demo: Demo; gun: Gun }) {
  const isUp = demo.state.value === "connected";
  return (
    <div class="row">
      {[1, 10, 60].map((count) => (
        <button
          key={count}
          type="button"
          class={count === 10 ? "primary" : ""}
          disabled={!isUp}
          onClick={() => gun.fire(count)}
        >
          Fire {count}
        </button>
      ))}
      <label class="inline">
        Keep firing
        <select
          value={String(gun.pace.value)}
          onChange={(event) => (gun.pace.value = Number(event.currentTarget.value))}
        >
          {paces.map((pace) => (
            <option key={pace} value={String(pace)}>
              {pace === 0 ? "not" : `${pace} a second`}
            </option>
          ))}
        </select>
      </label>
    </div>
  );
}

function Outcome({ gun }: { gun: Gun }) {
  const { accepted, refused, retryAfterMs, trouble } = gun.tally.value;
  return (
    <dl class="facts tally">
      <dt>Let through</dt>
      <dd class="is-good">{accepted}</dd>
      <dt>Refused as rate_limited</dt>
      <dd class={refused > 0 ? "is-bad" : ""}>{refused}</dd>
      <dt>Last retryAfterMs</dt>
      <dd>{retryAfterMs === undefined ? "–" : duration(retryAfterMs)}</dd>
      {trouble !== undefined && (
        <>
          <dt>Trouble</dt>
          <dd class="is-bad">{trouble}</dd>
        </>
      )}
    </dl>
  );
}
