import { type ReadonlySignal, signal } from "@preact/signals";

/** The shown view and its subject, from the URL's fragment: `#orders/o-17`. */
export interface Route {
  view: string;
  subject: string;
}

export interface Router {
  readonly route: ReadonlySignal<Route>;
  stop(): void;
}

export const hrefOf = (view: string, subject = ""): string =>
  subject === "" ? `#${view}` : `#${view}/${encodeURIComponent(subject)}`;

export function goTo(view: string, subject = ""): void {
  location.hash = hrefOf(view, subject);
}

export function createRouter(): Router {
  const route = signal(routeNow());
  const follow = (): void => void (route.value = routeNow());
  addEventListener("hashchange", follow);
  return { route, stop: () => removeEventListener("hashchange", follow) };
}

function routeNow(): Route {
  const [view = "", ...rest] = location.hash.slice(1).split("/");
  return { view, subject: decoded(rest.join("/")) };
}

/** The fragment may be invalid. */
function decoded(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return "";
  }
}
