import type { Demo } from "../model/demo.ts";
import { offeredStatuses, statusWord } from "../model/order-path.ts";
import { hrefOf } from "../model/route.ts";
import { trackOrder, type TrackedOrder } from "../model/tracked-order.ts";
import { useModel } from "../model/use-model.ts";
import { Alert } from "../parts/alert.tsx";
import { Refusal } from "../parts/refusal.tsx";
import { Replay } from "./replay.tsx";
import { Timeline } from "./timeline.tsx";
import { TownMap } from "./town-map.tsx";

/** One order: its status, its courier's location, and actions on it. */
export function Tracker({ demo, orderId }: { demo: Demo; orderId: string }) {
  const tracked = useModel(() => trackOrder(demo, orderId), [demo, orderId]);
  const now = tracked.order.value;
  if (tracked.refusal.value !== undefined) return <Refusal text={tracked.refusal.value} />;
  if (now === undefined) return <p class="empty">Asking for the order…</p>;
  const { apiKey } = demo.login;
  return (
    <article class="tracker" aria-label={`Order ${orderId}`}>
      <div class="tracker-place">
        <TownMap courier={tracked.courier.value} isMoving={tracked.driver.isDriving.value} />
        <Courier demo={demo} tracked={tracked} />
      </div>
      <div class="tracker-story">
        <h2>
          {orderId} is <span class="tag">{statusWord(now.order.status)}</span>
        </h2>
        <Timeline entries={now.timeline} />
      </div>
      {apiKey !== undefined && (
        <div class="tracker-acts">
          <StatusButtons apiKey={apiKey} tracked={tracked} />
          <Replay apiKey={apiKey} tracked={tracked} />
          <Alert text={tracked.attempts.error.value ?? tracked.driver.error.value} />
        </div>
      )}
    </article>
  );
}

/** The courier can drive; other users get a link to sign in as the courier. */
function Courier({ demo, tracked }: { demo: Demo; tracked: TrackedOrder }) {
  const { apiKey, name } = demo.login;
  const courier = tracked.order.value?.order.parties.courier;
  if (courier === undefined || apiKey === undefined) return null;
  if (courier === name) {
    return tracked.driver.isDriving.value ? (
      <button type="button" onClick={() => tracked.driver.stop()}>
        Stop
      </button>
    ) : (
      <button type="button" class="primary" onClick={() => void tracked.driver.drive(apiKey)}>
        Drive to the customer
      </button>
    );
  }
  const address = `?as=${encodeURIComponent(courier)}${hrefOf("orders", tracked.orderId)}`;
  return (
    <p class="hint">
      {courier} delivers it.{" "}
      <a href={address} target="_blank" rel="noopener">
        Sign in as {courier} in another tab
      </a>{" "}
      and drive: the dot moves here too.
    </p>
  );
}

function StatusButtons({ apiKey, tracked }: { apiKey: string; tracked: TrackedOrder }) {
  const refused = tracked.refusedStatus.value;
  return (
    <section class="moves" aria-label="Moves">
      <h2>Move it to</h2>
      <div class="row">
        {offeredStatuses.map((status) => (
          <button
            key={status}
            type="button"
            disabled={tracked.attempts.isBusy.value}
            onClick={() => void tracked.setStatus(apiKey, status)}
          >
            {statusWord(status)}
          </button>
        ))}
      </div>
      <div role="alert" class={refused === undefined ? "alert is-empty" : "alert"}>
        {refused !== undefined && (
          <>
            {refused.sentence} <code>{refused.code}</code>
          </>
        )}
      </div>
      <p class="hint">Try any: the gateway refuses illegal transitions, and they change nothing.</p>
    </section>
  );
}
