import type { RefObject } from "preact";
import { useLayoutEffect, useRef } from "preact/hooks";

const glideMs = 420;
const easing = "cubic-bezier(0.2, 0.8, 0.25, 1)";

const likesStillness = matchMedia("(prefers-reduced-motion: reduce)");

/**
 * Lets the children of a list glide to their new places. Where each is seen is measured while the page still shows the
 * old order, so one that is moved again on its way goes on from where it is.
 */
export function useGlide<List extends HTMLElement>(): RefObject<List | null> {
  const list = useRef<List>(null);
  const before = placesIn(list.current);
  useLayoutEffect(() => {
    if (list.current !== null && !likesStillness.matches) glide(list.current, before);
  });
  return list;
}

/** By the `data-key` of each child: its distance from the top of the list, as seen. */
function placesIn(list: HTMLElement | null): Map<string, number> {
  const places = new Map<string, number>();
  if (list === null) return places;
  const { top } = list.getBoundingClientRect();
  for (const child of childrenOf(list)) places.set(keyOf(child), child.getBoundingClientRect().top - top);
  return places;
}

function glide(list: HTMLElement, before: Map<string, number>): void {
  for (const child of childrenOf(list)) {
    const from = before.get(keyOf(child));
    if (from === undefined) appear(child, before.size > 0);
    else move(child, from - child.offsetTop);
  }
}

function move(child: HTMLElement, distance: number): void {
  if (Math.abs(distance) < 1) return;
  for (const running of child.getAnimations()) if (running.id === "glide") running.cancel();
  // Who climbs passes above who falls.
  const zIndex = distance > 0 ? "1" : "0";
  const steps = [
    { transform: `translateY(${distance}px)`, zIndex },
    { transform: "none", zIndex },
  ];
  child.animate(steps, { id: "glide", duration: glideMs, easing });
}

/** On a page that shows nothing yet, nothing needs to be pointed out. */
function appear(child: HTMLElement, isNews: boolean): void {
  if (isNews) child.animate([{ opacity: 0 }, { opacity: 1 }], { duration: glideMs, easing });
}

const childrenOf = (list: HTMLElement): HTMLElement[] => Array.from(list.children) as HTMLElement[];

const keyOf = (child: HTMLElement): string => child.dataset.key ?? "";
