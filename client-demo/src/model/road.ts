/**
 * The gateway's default road of an order, as this page draws it. The gateway alone decides: the page offers every move
 * and shows what is refused.
 */
export const road = ["created", "confirmed", "preparing", "ready", "picked_up", "delivered"] as const;

const words: Record<string, string> = {
  created: "Created",
  confirmed: "Confirmed",
  preparing: "Preparing",
  ready: "Ready",
  picked_up: "Picked up",
  shipped: "Shipped",
  delivered: "Delivered",
  failed: "Failed",
  cancelled: "Cancelled",
};

export const statusWord = (status: string): string => words[status] ?? status;

/** What can be asked for. */
export const moves = [...road.slice(1), "cancelled"];

/** Where the courier drives, in hundredths of the map. */
export const route: readonly Place[] = [
  { x: 12, y: 74 },
  { x: 12, y: 50 },
  { x: 38, y: 50 },
  { x: 38, y: 26 },
  { x: 64, y: 26 },
  { x: 64, y: 50 },
  { x: 88, y: 50 },
  { x: 88, y: 26 },
];

export interface Place {
  x: number;
  y: number;
}

/** The place after a share of the way, 0 to 1. */
export function placeAlong(share: number): Place {
  const legs = route.slice(1).map((to, index) => ({ from: route[index] ?? to, to }));
  const whole = legs.reduce((sum, leg) => sum + lengthOf(leg), 0);
  let left = share * whole;
  for (const leg of legs) {
    const length = lengthOf(leg);
    if (left <= length) return between(leg, left / length);
    left -= length;
  }
  return route.at(-1) ?? { x: 0, y: 0 };
}

interface Leg {
  from: Place;
  to: Place;
}

const lengthOf = ({ from, to }: Leg): number => Math.hypot(to.x - from.x, to.y - from.y);

const between = ({ from, to }: Leg, share: number): Place => ({
  x: from.x + (to.x - from.x) * share,
  y: from.y + (to.y - from.y) * share,
});

export function isPlace(value: unknown): value is Place {
  if (typeof value !== "object" || value === null || !("x" in value && "y" in value)) return false;
  return typeof value.x === "number" && typeof value.y === "number";
}
