import { signal } from "@preact/signals";
import type { JSX } from "preact";
import { useEffect, useRef } from "preact/hooks";
import { operator, restore, signOut } from "./session.ts";
import { SignIn } from "./sign-in.tsx";
import { AuditView } from "./views/audit.tsx";
import { BoardView } from "./views/board.tsx";
import { ChannelView } from "./views/channel.tsx";
import { ConnectionsView } from "./views/connections.tsx";
import { OrderView } from "./views/order.tsx";
import { OverviewView } from "./views/overview.tsx";
import { QueuesView } from "./views/queues.tsx";
import { SettingsView } from "./views/settings.tsx";
import { TraceView } from "./views/trace.tsx";
import { UserView } from "./views/user.tsx";
import { WhyView } from "./views/why.tsx";

const views: Record<string, { title: string; show: (subject: string) => JSX.Element }> = {
  overview: { title: "Overview", show: () => <OverviewView /> },
  connections: { title: "Connections", show: () => <ConnectionsView /> },
  user: { title: "User", show: (subject) => <UserView userId={subject} /> },
  channel: { title: "Channel", show: (subject) => <ChannelView channel={subject} /> },
  board: { title: "Board", show: (subject) => <BoardView board={subject} /> },
  order: { title: "Order", show: (subject) => <OrderView orderId={subject} /> },
  queues: { title: "Queues", show: () => <QueuesView /> },
  trace: { title: "Trace", show: (subject) => <TraceView traceId={subject} /> },
  why: { title: "Why?", show: () => <WhyView /> },
  audit: { title: "Audit", show: () => <AuditView /> },
  settings: { title: "Settings", show: () => <SettingsView /> },
};

const hash = signal(location.hash);
addEventListener("hashchange", () => (hash.value = location.hash));
void restore();

export function App() {
  if (operator.value === undefined) return <p class="state">Loading …</p>;
  return operator.value === null ? <SignIn /> : <Console name={operator.value.name} role={operator.value.role} />;
}

function Console({ name, role }: { name: string; role: string }) {
  const main = useRef<HTMLElement>(null);
  const [, key = "overview", subject = ""] = hash.value.split("/").map(decoded);
  const view = views[key] ?? views["overview"];
  useEffect(() => {
    document.title = `${view?.title} · Tidegate console`;
    main.current?.focus();
    document.querySelector("nav [aria-current]")?.scrollIntoView({ block: "nearest", inline: "nearest" });
  }, [key, subject]);
  return (
    <>
      <header>
        <span class="brand">Tidegate</span>
        <nav aria-label="Views">
          {Object.entries(views).map(([path, { title }]) => (
            <a key={path} href={`#/${path}`} aria-current={view === views[path] ? "page" : undefined}>
              {title}
            </a>
          ))}
        </nav>
        <span class="who">
          {name} · {role}{" "}
          <button type="button" onClick={() => void signOut()}>
            Sign out
          </button>
        </span>
      </header>
      <main ref={main} tabIndex={-1} aria-labelledby="title">
        <h1 id="title">{view?.title}</h1>
        {view?.show(subject)}
      </main>
    </>
  );
}

function decoded(part: string): string {
  try {
    return decodeURIComponent(part);
  } catch {
    return part;
  }
}
