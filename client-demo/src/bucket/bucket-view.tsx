import { publishCall } from "../model/backend.ts";
import type { Demo } from "../model/demo.ts";
import { createLoadGenerator, type LoadGenerator } from "../model/load-generator.ts";
import { useModel } from "../model/use-model.ts";
import { duration } from "../parts/format.ts";
import type { DemoView } from "../view.ts";
import "./bucket.css";
import { BucketGauge } from "./bucket-gauge.tsx";
import { BucketChart } from "./bucket-chart.tsx";

export const bucketView: DemoView = {
  id: "bucket",
  title: "Bucket",
  View: BucketView,
  call: () => publishCall("chat:bucket", "A backend's calls have a limit of their own"),
};

const rates = [0, 10, 20, 30, 60];

function BucketView({ demo }: { demo: Demo }) {
  const generator = useModel(() => createLoadGenerator(demo), [demo]);
  const { capacity, refillPerSecond } = demo.bucket.rule;
  return (
    <div class="view">
      <header class="view-head">
        <h1>Your bucket of messages</h1>
        <p class="lead">
          Each message takes a token. The bucket holds {capacity} tokens and gains {refillPerSecond} a second. If it is
          empty, the gateway refuses messages and says when to retry.
        </p>
      </header>
      <div class="bucket">
        <BucketGauge level={generator.level.value} capacity={capacity} />
        <BucketChart bins={generator.bins.value} capacity={capacity} />
      </div>
      <SendControls demo={demo} generator={generator} />
      <Outcome generator={generator} />
      <p class="hint">
        Capacity and refill rate are the gateway’s settings. The level is this page’s own estimate from what it sent and
        the time since then; each refusal corrects it. Your other pages use the same bucket, which this one cannot see.
        A client that is refused more than 100 times in 10 seconds, as at 60 messages a second, is disconnected and may
        reconnect.
      </p>
    </div>
  );
}

function SendControls({ demo, generator }: { demo: Demo; generator: LoadGenerator }) {
  const isUp = demo.state.value === "connected";
  return (
    <div class="row">
      {[1, 10, 60].map((count) => (
        <button
          key={count}
          type="button"
          class={count === 10 ? "primary" : ""}
          disabled={!isUp}
          onClick={() => generator.send(count)}
        >
          Send {count}
        </button>
      ))}
      <label class="inline">
        Keep sending
        <select
          value={String(generator.ratePerSecond.value)}
          onChange={(event) => (generator.ratePerSecond.value = Number(event.currentTarget.value))}
        >
          {rates.map((rate) => (
            <option key={rate} value={String(rate)}>
              {rate === 0 ? "off" : `${rate} a second`}
            </option>
          ))}
        </select>
      </label>
    </div>
  );
}

function Outcome({ generator }: { generator: LoadGenerator }) {
  const { accepted, refused, retryAfterMs, error } = generator.totals.value;
  return (
    <dl class="facts tally">
      <dt>Accepted</dt>
      <dd class="is-good">{accepted}</dd>
      <dt>Refused as rate_limited</dt>
      <dd class={refused > 0 ? "is-bad" : ""}>{refused}</dd>
      <dt>Last retryAfterMs</dt>
      <dd>{retryAfterMs === undefined ? "–" : duration(retryAfterMs)}</dd>
      {error !== undefined && (
        <>
          <dt>Error</dt>
          <dd class="is-bad">{error}</dd>
        </>
      )}
    </dl>
  );
}
