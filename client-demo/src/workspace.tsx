import { useEffect, useRef } from "preact/hooks";
import type { Demo } from "./model/demo.ts";
import { hrefOf } from "./model/route.ts";
import { panels } from "./panels.ts";
import { PanelBox } from "./parts/panel.tsx";
import { StateBadge } from "./parts/state-badge.tsx";
import { Wordmark } from "./parts/wordmark.tsx";
import { shownView, views } from "./views.ts";

/** The page of one signed-in user: one view to the left, panels to the right. */
export function Workspace({ demo, onSignOut }: { demo: Demo; onSignOut: () => void }) {
  const { id, title, View } = shownView(demo);
  const main = useRef<HTMLElement>(null);
  useEffect(() => {
    document.title = `${title} · Tidegate`;
    main.current?.focus({ preventScroll: true });
  }, [id]);
  return (
    <>
      <header class="bar">
        <Wordmark />
        <Views demo={demo} />
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
        <main class={`card stage is-${id}`} aria-label={title} key={id} ref={main} tabIndex={-1}>
          <View demo={demo} />
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

function Views({ demo }: { demo: Demo }) {
  const shown = shownView(demo);
  return (
    <nav class="views" aria-label="What to look at">
      {views.map((view) => (
        <a key={view.id} href={hrefOf(view.id)} aria-current={view === shown ? "page" : undefined}>
          {view.title}
        </a>
      ))}
    </nav>
  );
}

function Ended({ demo, onSignOut }: { demo: Demo; onSignOut: () => void }) {
  const reason = demo.problem.value?.error;
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
