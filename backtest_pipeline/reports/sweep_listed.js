"use strict";
// The trials of a sweep's report that are looked at one by one: unpacked, written for people, shown in a panel.
// Texts go into the page as text only.
const sweepTrials = (() => {
  const find = (id) => document.getElementById(id);
  const sweep = JSON.parse(find("sweep").textContent);
  const MAIN_METRICS = 11;

  const element = (name, text = "", attributes = {}) => {
    const made = document.createElement(name);
    made.textContent = text;
    for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
    return made;
  };
  const unpacked = (text, kind) => new kind(Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0)).buffer);
  const once = (make) => {
    let made;
    return () => (made ??= make());
  };

  // --- how numbers are written: the same digits as everywhere else -----------------------------------------

  const digits = (least, most) => new Intl.NumberFormat("en-US", { minimumFractionDigits: least, maximumFractionDigits: most });
  const [whole, two] = [digits(0, 0), digits(2, 2)];
  const positiveZero = (text) => (/^-[0.,]*%?$/.test(text) ? text.slice(1) : text);
  function shown(metric, value) {
    if (value === null || Number.isNaN(value)) return "-";
    if (metric.unit === "fraction") return positiveZero(Math.abs(value) < 1e12 ? `${two.format(100 * value)}%` : `${(100 * value).toExponential(2)}%`);
    if (Math.abs(value) >= 1e12) return value.toExponential(2);
    const isWhole = metric.unit === "count" || (["days", "bars"].includes(metric.unit) && Number.isInteger(value));
    return positiveZero((isWhole ? whole : two).format(value));
  }

  // --- the trials that are known one by one ----------------------------------------------------------------

  const packed = sweep.listed;
  const listed = {
    trial: unpacked(packed.trial, Uint32Array),
    rank: unpacked(packed.rank, Uint32Array),
    state: unpacked(packed.state, Uint8Array),
    values: sweep.names.map((name, at) => once(() => unpacked(packed.values[at], name.values ? Uint16Array : Float64Array))),
    bins: packed.bins.map((text) => once(() => unpacked(text, Uint8Array))),
    coarse: packed.coarse.map((text, at) => once(() => unpacked(text ?? packed.bins[at], Uint8Array))),
    metrics: packed.metrics.map((text, at) => once(() => unpacked(text, packed.wide[at] ? Float64Array : Float32Array))),
  };
  const valueOf = (row, at) => {
    const own = listed.values[at]()[row];
    return sweep.names[at].values ? sweep.names[at].values[own] : own;
  };
  const written = (value) => {
    if (value === null) return "none";
    if (typeof value === "boolean") return value ? "yes" : "no";
    if (Array.isArray(value) && value.every((one) => typeof one === "string")) return value.join("+") || "[]";
    return typeof value === "object" ? JSON.stringify(value) : String(value);
  };
  const metricOf = (row, at) => (listed.state[row] === 0 ? listed.metrics[at]()[row] : NaN);

  function configOf(row) {
    const config = structuredClone(sweep.config);
    const [[strategy, params]] = Object.entries(config.strategy);
    const fields = {};
    sweep.names.forEach(({ key }, at) => {
      if (key.startsWith("params.")) params[key.slice(7)] = valueOf(row, at);
      else fields[key] = valueOf(row, at);
    });
    const all = { ...config, ...fields, strategy: { [fields.strategy ?? strategy]: params } };
    return Object.fromEntries(Object.entries(all).filter(([, value]) => value !== null));
  }

  // Ranked trials stand before completed ones, those before all others.
  function standsBefore(row, other) {
    if (row === -1 || other === -1) return row !== -1;
    const merit = (at) => (listed.rank[at] ? [0, listed.rank[at]] : [listed.state[at] ? 2 : 1, listed.trial[at]]);
    const [[a, b], [c, d]] = [merit(row), merit(other)];
    return a < c || (a === c && b < d);
  }

  // --- all that is known of some trials ---------------------------------------------------------------------

  function tableOf(rows, means, metrics, head) {
    const table = element("table", "", { class: "known" });
    const line = (name, texts, side = "number") => {
      const made = element("tr");
      made.append(element("th", name, { scope: "row" }), ...texts.map((text) => element("td", text, { class: side })));
      table.append(made);
    };
    if (head) {
      const beside = (texts) => (means ? ["", ...texts] : texts);
      const top = element("tr");
      top.append(element("th"), ...(means ? [element("th", "mean of the cell", { scope: "col", class: "number" })] : []));
      for (const row of rows) top.append(element("th", `trial ${listed.trial[row]}`, { scope: "col", class: "number" }));
      table.append(top);
      line("rank", beside(rows.map((row) => (listed.rank[row] ? whole.format(listed.rank[row]) : "none"))));
      sweep.names.forEach(({ key }, at) => line(key, beside(rows.map((row) => written(valueOf(row, at)))), "number value"));
      if (rows.some((row) => listed.state[row])) {
        line("state", beside(rows.map((row) => sweep.states[listed.state[row]])));
        line("why", beside(rows.map((row) => packed.errors[packed.error_of[row]] ?? "")), "number value");
      }
    }
    for (const at of metrics) {
      const texts = rows.map((row) => shown(sweep.metrics[at], metricOf(row, at)));
      line(sweep.metrics[at].title, means ? [shown(sweep.metrics[at], means[at]), ...texts] : texts);
    }
    const wide = element("div", "", { class: "wide" });
    wide.append(table);
    return wide;
  }

  // Shows trials by their rows, beside the means of the metrics where there are any.
  function panel(title, rows, means) {
    const all = [...sweep.metrics.keys()];
    const parts = [element("h3", title), tableOf(rows, means, all.slice(0, MAIN_METRICS), true)];
    if (all.length > MAIN_METRICS) {
      const more = element("details");
      more.append(element("summary", "All metrics"), tableOf(rows, means, all.slice(MAIN_METRICS), false));
      parts.push(more);
    }
    for (const row of rows.filter((one) => listed.state[one] !== 1)) {
      const run = element("p", "", { class: "note run" });
      run.append(`Run trial ${listed.trial[row]}: `, launchLink(row), " ", element("code", `backtest run --from ${sweep.task} --trial ${listed.trial[row]}`));
      parts.push(run);
    }
    find("cell").replaceChildren(...parts);
    const picked = new Set(rows.map((row) => String(listed.trial[row])));
    for (const one of document.querySelectorAll("#best-trials tr[data-trial], #parallel path[data-trial]")) {
      one.classList.toggle("chosen", picked.has(one.dataset.trial));
    }
  }

  function launchLink(row) {
    const config = encodeURIComponent(JSON.stringify(configOf(row), null, 2));
    const link = element("a", "launchpad", { class: "launch", href: `${sweep.setup}?config=${config}` });
    link.hidden = location.protocol === "file:";
    return link;
  }

  return { sweep, listed, element, find, once, unpacked, shown, whole, metricOf, standsBefore, panel };
})();
