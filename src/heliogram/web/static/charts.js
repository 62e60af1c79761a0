// The charts of the overview: two lines each, drawn anew whenever new figures come. The same figures are in a table.
"use strict";

(() => {
  const shown = [];
  const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

  const series = () => JSON.parse(document.getElementById("series").dataset.series);

  const line = (label, ink, dash, alone = false) => ({ label, stroke: () => colour(ink), width: 2, dash, points: { show: alone, size: 4 }, spanGaps: false });

  const axis = (size) => ({
    stroke: () => colour("--soft"), size, font: "12px system-ui, sans-serif",
    grid: { stroke: () => colour("--line"), width: 1 }, ticks: { show: false },
  });

  const time = (at) => new Date(at * 1000).toLocaleTimeString([], { hour: "2-digit", minute: "2-digit", hourCycle: "h23" });

  const plot = (id, lines, pick) => {
    const place = document.querySelector(`#${id} .plot`);
    if (!place) return;
    const chart = new uPlot({
      width: place.clientWidth || 300, height: 200, pxAlign: 0,
      cursor: { drag: { x: false, y: false } },
      legend: { show: false },
      scales: { y: { range: (u, low, high) => [0, Math.max(high === null ? 0 : high * 1.1, 5)] } },
      axes: [{ ...axis(30), values: (u, at) => at.map(time) }, axis(48)],
      series: [{}, ...lines],
    }, pick(series()), place);
    new ResizeObserver(() => chart.setSize({ width: place.clientWidth, height: 200 })).observe(place);
    shown.push(() => chart.setData(pick(series())));
  };

  const draw = () => shown.forEach((each) => each());

  document.addEventListener("DOMContentLoaded", () => {
    const charts = document.querySelector(".charts");
    if (!charts || !document.getElementById("series")) return;
    charts.hidden = false;
    plot("throughput", [line("accepted", "--good"), line("failed", "--bad", [6, 4])], (s) => [s.at, s.sent, s.failed]);
    plot("latency", [line("usual", "--going", null, true), line("slowest of 100", "--warn", [6, 4], true)], (s) => [s.at, s.p50, s.p99]);
    document.body.addEventListener("htmx:afterSwap", (event) => { if (event.target.id === "numbers") draw(); });
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", draw);
  });
})();
