import { type MapPoint, route } from "../model/order-path.ts";

const width = 360;
const height = 220;

const at = ({ x, y }: MapPoint): string => `${(x / 100) * width},${(y / 100) * height}`;
const streetsAcross = [26, 50, 74];
const streetsDown = [12, 38, 64, 88];

/** A map with the kitchen, the customer, and the courier's last location. */
export function TownMap({ courier, isMoving }: { courier: MapPoint | undefined; isMoving: boolean }) {
  const [kitchen, home] = [route[0], route.at(-1)];
  return (
    <svg class="town" viewBox={`0 0 ${width} ${height}`} role="img" aria-label={describe(courier)}>
      {streetsAcross.map((y) => (
        <line key={y} class="street" x1={0} x2={width} y1={(y / 100) * height} y2={(y / 100) * height} />
      ))}
      {streetsDown.map((x) => (
        <line key={x} class="street" y1={0} y2={height} x1={(x / 100) * width} x2={(x / 100) * width} />
      ))}
      <polyline class="town-route" points={route.map(at).join(" ")} />
      {kitchen !== undefined && <Pin point={kitchen} name="Kitchen" side="below" />}
      {home !== undefined && <Pin point={home} name="Home" side="above" />}
      {courier !== undefined && (
        <g class={isMoving ? "courier is-moving" : "courier"} style={{ transform: `translate(${pixels(courier)})` }}>
          <circle class="courier-halo" r={15} />
          <circle class="courier-dot" r={8} />
        </g>
      )}
    </svg>
  );
}

function Pin({ point, name, side }: { point: MapPoint; name: string; side: "above" | "below" }) {
  const [x, y] = [(point.x / 100) * width, (point.y / 100) * height];
  return (
    <g class="pin">
      <rect x={x - 8} y={y - 8} width={16} height={16} rx={4} />
      <text x={x} y={side === "above" ? y - 16 : y + 26} text-anchor="middle">
        {name}
      </text>
    </g>
  );
}

const pixels = ({ x, y }: MapPoint): string => `${(x / 100) * width}px, ${(y / 100) * height}px`;

function describe(courier: MapPoint | undefined): string {
  if (courier === undefined) return "Map. The courier has not sent a location yet.";
  return `Map. The courier is at ${Math.round(courier.x)}, ${Math.round(courier.y)} of 100.`;
}
