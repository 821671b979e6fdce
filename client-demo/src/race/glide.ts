import type { RefObject } from "preact";
import { useLayoutEffect, useRef } from "preact/hooks";

const glideMs = 420;
const easing = "cubic-bezier(0.2, 0.8, 0.25, 1)";

const likesStillness = matchMedia("(prefers-reduced-motion: reduce)");

/**
 * Animates the children of a list to their new positions. Positions are measured before the new order is rendered, so a
 * child that moves again during its animation continues from where it is.
 */
export function useGlide<List extends HTMLElement>(): RefObject<List | null> {
  const list = useRef<List>(null);
  const before = placesIn(list.current);
  useLayoutEffect(() => {
    if (list.current !== null && !likesStillness.matches) glide(list.current, before);
  });
  return list;
}

/** Each child's distance from the top of the list, by its `data-key`. */
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
  // Children that move up are drawn above those that move down.
  const zIndex = distance > 0 ? "1" : "0";
  const steps = [
    { transform: `translateY(${distance}px)`, zIndex },
    { transform: "none", zIndex },
  ];
  child.animate(steps, { id: "glide", duration: glideMs, easing });
}

/** Fades a new child in, unless the list was empty. */
function appear(child: HTMLElement, isNews: boolean): void {
  if (isNews) child.animate([{ opacity: 0 }, { opacity: 1 }], { duration: glideMs, easing });
}

const childrenOf = (list: HTMLElement): HTMLElement[] => Array.from(list.children) as HTMLElement[];

const keyOf = (child: HTMLElement): string => child.dataset.key ?? "";
