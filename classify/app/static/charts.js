// The few drawings of the page; each has the same numbers as text beside it or in its label.

import { el, percent, svg } from "./dom.js";

/** Accuracies of all rounds with their intervals. */
export function roundsChart(rounds) {
  const width = 360;
  const height = 120;
  const pad = 8;
  const x = (i) => (rounds.length === 1 ? width / 2 : pad + (i * (width - 2 * pad)) / (rounds.length - 1));
  const least = Math.min(...rounds.map((each) => each.low));
  const most = Math.max(...rounds.map((each) => each.high));
  const y = (share) => height - pad - ((share - least) / Math.max(most - least, 0.01)) * (height - 2 * pad);
  const said = rounds.map((each) => `round ${each.n}: ${percent(each.accuracy)}`).join(", ");
  return svg("svg", { viewBox: `0 0 ${width} ${height}`, class: "chart", role: "img", "aria-label": said },
    ...rounds.map((each, i) => svg("line", { class: "interval", x1: x(i), x2: x(i), y1: y(each.low), y2: y(each.high) })),
    svg("polyline", { class: "line", points: rounds.map((each, i) => `${x(i)},${y(each.accuracy)}`).join(" ") }),
    ...rounds.map((each, i) => svg("circle", { cx: x(i), cy: y(each.accuracy), r: 4 }, svg("title", {}, `${percent(each.accuracy)}`))));
}

/** A bar from 0 to 1. */
export function bar(share, label) {
  const inner = el("span", { class: "filled" });
  inner.style.width = `${100 * Math.max(0, Math.min(1, share))}%`;
  return el("span", { class: "meter", role: "img", "aria-label": label }, inner);
}

/** The squares whose covering changes the answer, over the picture. */
export function occlusionCanvas(found, width, height) {
  const canvas = el("canvas", { width, height, class: "overlay", "aria-hidden": "true" });
  const paint = canvas.getContext("2d");
  const most = Math.max(0.02, ...found.drop.flat());
  found.drop.forEach((line, i) => line.forEach((drop, j) => {
    paint.fillStyle = `rgba(220, 60, 0, ${0.75 * Math.max(0, drop / most)})`;
    paint.fillRect((j * width) / found.columns, (i * height) / found.rows, width / found.columns + 1, height / found.rows + 1);
  }));
  return canvas;
}
