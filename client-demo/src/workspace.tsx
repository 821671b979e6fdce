import { ChannelView } from "./channels/channel-view.tsx";
import { ChannelTabs } from "./channels/channel-tabs.tsx";
import type { Demo } from "./model/demo.ts";
import { panels } from "./panels.ts";
import { PanelBox } from "./parts/panel.tsx";
import { StateBadge } from "./parts/state-badge.tsx";
import { Wordmark } from "./parts/wordmark.tsx";

/** The page of one signed-in user: channels to the left, panels to the right. */
export function Workspace({ demo, onSignOut }: { demo: Demo; onSignOut: () => void }) {
  return (
    <>
      <header class="bar">
        <Wordmark />
        <StateBadge demo={demo} />
        <span class="who">
          <span class="who-name">{demo.login.name}</span>
          <button type="button" class="quiet" onClick={onSignOut}>
            Sign out
          </button>
        </span>
      </header>
      {demo.state.value === "closed" && <Ended demo={demo} onSignOut={onSignOut} />}
      <div class="columns">
        <main class="card channels" aria-label="Channels">
          <ChannelTabs demo={demo} />
          <ChannelView demo={demo} />
        </main>
        <aside class="panels" aria-label="Panels">
          {panels.map(({ id, title, View }) => (
            <PanelBox key={id} id={id} title={title}>
              <View demo={demo} />
            </PanelBox>
          ))}
        </aside>
      </div>
    </>
  );
}

function Ended({ demo, onSignOut }: { demo: Demo; onSignOut: () => void }) {
  const reason = demo.trouble.value?.error;
  return (
    <div class="banner" role="alert">
      <span>
        The gateway ended this connection for good
        {reason !== undefined && (
          <>
            : {reason.message} <code>{reason.code}</code>
          </>
        )}
      </span>
      <button type="button" onClick={onSignOut}>
        Sign in again
      </button>
    </div>
  );
}
