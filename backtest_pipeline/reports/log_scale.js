"use strict";
// Heights on a logarithmic scale: in Bokeh's JSON, and at which numbers they are written.
// Puts a figure's heights on a logarithmic scale, in Bokeh's JSON.
function toLog(root) {
  const scale = root.attributes.y_scale;
  root.attributes.y_scale = { ...scale, name: "LogScale" };
  const seen = (value) => {
    if (value === null || typeof value !== "object") return;
    if (value.name === "LinearAxis" && value.attributes.ticker) {
      const { id } = value.attributes.ticker;
      value.attributes.ticker = { type: "object", name: "FixedTicker", id, attributes: { ticks: [] } };
    }
    Object.values(value).forEach(seen);
  };
  seen(root.attributes.left);
}

// Round numbers between two others: by powers of ten where they are far apart, else by equal steps.
function logTicks(low, high) {
  const ticks = [];
  const near = high / low < 3;
  const power = 10 ** Math.floor(Math.log10(near ? (high - low) / 4 : low));
  if (near) {
    const step = [1, 2, 5, 10].map((size) => size * power).find((size) => (high - low) / size <= 7);
    for (let tick = Math.ceil(low / step); tick * step <= high; tick++) ticks.push(tick * step);
    return ticks;
  }
  const sizes = high / low > 1e4 ? [1] : high / low > 30 ? [1, 2, 5] : [1, 1.5, 2, 3, 5, 7];
  for (let from = power; from <= high; from *= 10) ticks.push(...sizes.map((size) => size * from));
  return ticks.filter((tick) => tick >= low && tick <= high);
}
