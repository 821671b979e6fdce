/**
 * The default statuses of an order, as drawn by this page. The gateway decides: the page offers every status and shows
 * refusals.
 */
export const orderPath = ["created", "confirmed", "preparing", "ready", "picked_up", "delivered"] as const;

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

/** Statuses that the page offers. */
export const offeredStatuses = [...orderPath.slice(1), "cancelled"];

/** The courier's route, in per cent of the map. */
export const route: readonly MapPoint[] = [
  { x: 12, y: 74 },
  { x: 12, y: 50 },
  { x: 38, y: 50 },
  { x: 38, y: 26 },
  { x: 64, y: 26 },
  { x: 64, y: 50 },
  { x: 88, y: 50 },
  { x: 88, y: 26 },
];

export interface MapPoint {
  x: number;
  y: number;
}

/** The point at a share of the route, 0 to 1. */
export function pointAlong(share: number): MapPoint {
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
  from: MapPoint;
  to: MapPoint;
}

const lengthOf = ({ from, to }: Leg): number => Math.hypot(to.x - from.x, to.y - from.y);

const between = ({ from, to }: Leg, share: number): MapPoint => ({
  x: from.x + (to.x - from.x) * share,
  y: from.y + (to.y - from.y) * share,
});

export function isMapPoint(value: unknown): value is MapPoint {
  if (typeof value !== "object" || value === null || !("x" in value && "y" in value)) return false;
  return typeof value.x === "number" && typeof value.y === "number";
}
