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

  // As Python rounds: what a number is in binary counts, and halves go to the even digit.
  function fixed(value, places) {
    const scaled = value * 10 ** places;
    const isHalf = Math.abs(scaled % 1) === 0.5 && Number.isInteger(value * 2 ** (places + 1));
    const text = (isHalf ? (2 * Math.round(scaled / 2)) / 10 ** places : value).toFixed(places);
    const [integer, decimals] = text.split(".");
    const grouped = integer.replace(/\B(?=(\d{3})+$)/g, ",");
    const all = decimals === undefined ? grouped : `${grouped}.${decimals}`;
    return /[1-9]/.test(all) ? all : all.replace("-", "");
  }
  const whole = (value) => fixed(value, 0);
  function exponent(value) {
    const [digits, power] = value.toExponential(2).split("e");
    return `${digits}e${power[0]}${power.slice(1).padStart(2, "0")}`;
  }
  function shown(metric, value) {
    if (value === null || Number.isNaN(value)) return "-";
    if (metric.unit === "fraction") return `${Math.abs(value) < 1e12 ? fixed(100 * value, 2) : exponent(100 * value)}%`;
    const isSpan = ["days", "bars"].includes(metric.unit);
    const isWhole = metric.unit === "count" || (isSpan && Number.isInteger(value));
    const text = Math.abs(value) >= 1e12 ? exponent(value) : fixed(value, isWhole ? 0 : 2);
    return isSpan ? language.say(`{0} ${text === "1" ? metric.unit.slice(0, -1) : metric.unit}`, text) : text;
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
    metrics: packed.metrics.map((text) => once(() => unpacked(text, Float64Array))),
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
      top.append(element("th"), ...(means ? [element("th", language.say("mean of the cell"), { scope: "col", class: "number" })] : []));
      for (const row of rows) top.append(element("th", language.say("trial {0}", listed.trial[row]), { scope: "col", class: "number" }));
      table.append(top);
      line(language.say("rank"), beside(rows.map((row) => (listed.rank[row] ? whole(listed.rank[row]) : language.say("none")))));
      sweep.names.forEach(({ key }, at) => line(key, beside(rows.map((row) => written(valueOf(row, at)))), "number value"));
      if (rows.some((row) => listed.state[row])) {
        line(language.say("state"), beside(rows.map((row) => language.say(sweep.states[listed.state[row]]))));
        line(language.say("why"), beside(rows.map((row) => packed.errors[packed.error_of[row]] ?? "")), "number value");
      }
    }
    for (const at of metrics) {
      const texts = rows.map((row) => shown(sweep.metrics[at], metricOf(row, at)));
      line(language.say(sweep.metrics[at].title), means ? [shown(sweep.metrics[at], means[at]), ...texts] : texts);
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
      more.append(element("summary", language.say("All metrics")), tableOf(rows, means, all.slice(MAIN_METRICS), false));
      parts.push(more);
    }
    for (const row of rows.filter((one) => listed.state[one] !== 1)) {
      const run = element("p", "", { class: "note run" });
      run.append(language.say("Run trial {0}: ", listed.trial[row]), launchLink(row), " ", element("code", `backtest run --from ${sweep.task} --trial ${listed.trial[row]}`));
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
    const link = element("a", language.say("launchpad"), { class: "launch", href: `${sweep.setup}?config=${config}` });
    link.hidden = location.protocol === "file:";
    return link;
  }

  return { sweep, listed, element, find, once, unpacked, shown, whole, metricOf, standsBefore, panel };
})();
