/* global uPlot */
/** Draws the plots of a report, again whenever the width or the colours change. */
const { plots, marks } = JSON.parse(document.getElementById("data").textContent);
const places = [...document.querySelectorAll(".plot")];
const height = 220;
const seriesColours = 6;
let drawn = [];

function draw() {
  for (const plot of drawn) plot.destroy();
  drawn = plots.map((plot, index) => new uPlot(optionsOf(plot, places[index]), dataOf(plot), places[index]));
}

const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();

const dataOf = ({ x, series }) => [x, ...series.map(({ values }) => values)];

function optionsOf({ series, isLogarithmic, unit }, place) {
  const axis = {
    stroke: colour("quiet"),
    grid: { stroke: colour("line"), width: 1 },
    ticks: { stroke: colour("line") },
  };
  return {
    width: place.clientWidth,
    height,
    cursor: { sync: { key: "time" }, y: false },
    scales: {
      x: { time: false },
      y: isLogarithmic ? { distr: 3 } : { range: (_, low, high) => [Math.min(low, 0), high * 1.05 || 1] },
    },
    axes: [
      { ...axis, values: (_, ticks) => ticks.map((tick) => `${tick} s`) },
      { ...axis, size: 64, values: (_, ticks) => ticks.map((tick) => (tick === null ? "" : short(tick))) },
    ],
    series: [
      { label: "at", value: (_, value) => (value === null ? "–" : `${value} s`) },
      ...series.map(({ label }, index) => ({
        label,
        stroke: colour(`series-${(index % seriesColours) + 1}`),
        width: 1.5,
        spanGaps: false,
        points: { size: 4 },
        value: (_, value) => (value === null ? "–" : `${short(value)} ${unit}`),
      })),
    ],
    hooks: { draw: [drawMarks] },
  };
}

function short(value) {
  if (value >= 10_000) return `${Math.round(value / 1_000)} k`;
  return String(value >= 100 ? Math.round(value) : Number(value.toPrecision(3)));
}

/** A dashed line where something happened. */
function drawMarks({ ctx, bbox, valToPos, scales }) {
  ctx.save();
  ctx.strokeStyle = colour("quiet");
  ctx.setLineDash([4, 4]);
  for (const { at } of marks) {
    if (at < scales.x.min || at > scales.x.max) continue;
    const left = Math.round(valToPos(at, "x", true));
    ctx.beginPath();
    ctx.moveTo(left, bbox.top);
    ctx.lineTo(left, bbox.top + bbox.height);
    ctx.stroke();
  }
  ctx.restore();
}

function resize() {
  for (const [index, plot] of drawn.entries()) plot.setSize({ width: places[index].clientWidth, height });
}

draw();
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", draw);
new ResizeObserver(resize).observe(document.querySelector("main"));
