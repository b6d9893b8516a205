"use strict";
// The heatmap of a sweep's report, what is in its cells, and the trials that are picked elsewhere on the page.
(() => {
  const { sweep, listed, element, find, once, unpacked, shown, whole, metricOf, standsBefore, panel } = sweepTrials;
  const NONE = -1;
  const MOST_SHOWN = 3;
  const FEW_COLUMNS = 14;
  const winner = listed.rank.indexOf(1);

  // --- grids ------------------------------------------------------------------------------------------------

  const grids = sweep.pairs.map((pair) => ({ ...pair, open: once(() => opened(pair)) }));
  const cube = once(() => ({ ...opened(sweep.cube), cells: unpacked(sweep.cube.cells, Uint32Array) }));

  function opened(grid) {
    const [count, completed] = [unpacked(grid.count, Uint32Array), unpacked(grid.completed, Uint32Array)];
    return {
      count,
      completed,
      best: unpacked(grid.best, Int32Array),
      mean: grid.means.map((text) => once(() => unpacked(text, text.length > 8 * count.length ? Float64Array : Float32Array))),
      known: grid.known.map((text) => once(() => (text === null ? completed : unpacked(text, Uint32Array)))),
    };
  }

  // The cells of the chosen names: from the grid of two where nothing else is fixed, else summed over the cube.
  function gathered(choice) {
    const fixed = choice.fixed.some((bin) => bin !== NONE);
    const pair = fixed ? undefined : grids.find(({ names }) => names.includes(choice.x) && names.includes(choice.y));
    const labels = (at) => (pair ? sweep.names[at].labels : sweep.names[at].coarse ?? sweep.names[at].labels);
    const [columns, rows] = [labels(choice.x), choice.y === NONE ? [""] : labels(choice.y)];
    const size = columns.length * rows.length;
    const cells = { columns, rows, isPair: Boolean(pair), count: new Uint32Array(size), completed: new Uint32Array(size), best: new Int32Array(size).fill(NONE), sum: new Float64Array(size), known: new Uint32Array(size) };
    const add = (at, grid, from) => {
      cells.count[at] += grid.count[from];
      cells.completed[at] += grid.completed[from];
      const known = grid.known[choice.metric]()[from];
      if (known) cells.sum[at] += known * grid.mean[choice.metric]()[from];
      cells.known[at] += known;
      if (standsBefore(grid.best[from], cells.best[at])) cells.best[at] = grid.best[from];
    };
    if (pair) {
      const grid = pair.open();
      const [first, width] = [pair.names[0] === choice.x, pair.sizes[1]];
      for (let from = 0; from < grid.count.length; from++) {
        const [one, other] = [Math.floor(from / width), from % width];
        add((first ? other : one) * columns.length + (first ? one : other), grid, from);
      }
    } else {
      const [grid, sizes] = [cube(), sweep.cube.sizes];
      const bins = new Array(sizes.length);
      grid.cells.forEach((cell, from) => {
        let left = cell;
        for (let at = sizes.length - 1; at >= 0; at--) {
          bins[at] = left % sizes[at];
          left = Math.floor(left / sizes[at]);
        }
        if (choice.fixed.every((bin, at) => bin === NONE || bin === bins[at])) {
          add((choice.y === NONE ? 0 : bins[choice.y]) * columns.length + bins[choice.x], grid, from);
        }
      });
    }
    return cells;
  }

  // --- the heatmap ------------------------------------------------------------------------------------------

  const choice = { x: 0, y: sweep.crossed > 1 ? 1 : NONE, metric: 0, mean: false, fixed: new Array(sweep.crossed).fill(NONE) };
  let [cells, chosen] = [null, null];
  const RAMP = [[68, 1, 84], [59, 82, 139], [33, 145, 140], [94, 201, 98], [253, 231, 37]];

  function ramp(share) {
    const at = Math.min(Math.max(share, 0), 1) * (RAMP.length - 1);
    const low = Math.min(Math.floor(at), RAMP.length - 2);
    return RAMP[low].map((from, channel) => Math.round(from + (at - low) * (RAMP[low + 1][channel] - from)));
  }

  const valueAt = (at) => {
    if (choice.mean) return cells.known[at] ? cells.sum[at] / cells.known[at] : NaN;
    const best = cells.best[at];
    return best === NONE || !listed.rank[best] ? NaN : metricOf(best, choice.metric);
  };

  function choices() {
    const place = find("heat-choices");
    const names = sweep.names.slice(0, sweep.crossed).map(({ key }, at) => [at, key]);
    const select = (id, text, options, now, change) => {
      const label = element("label", language.say(text));
      const list = element("select", "", { id });
      for (const [value, name] of options) list.append(element("option", name, { value }));
      list.value = String(now);
      list.addEventListener("change", () => { change(Number(list.value)); choices(); show(); find(id)?.focus(); });
      label.append(list);
      return label;
    };
    const axis = (own, other) => (at) => {
      if (choice[other] === at) choice[other] = choice[own];
      choice[own] = at;
      choice.fixed[at] = NONE;
    };
    const parts = [select("heat-x", "across", names, choice.x, axis("x", "y"))];
    if (choice.y !== NONE) parts.push(select("heat-y", "down", names, choice.y, axis("y", "x")));
    parts.push(
      select("heat-metric", "metric", sweep.metrics.map(({ title }, at) => [at, language.say(title)]), choice.metric, (at) => { choice.metric = at; }),
      select("heat-which", "a cell shows", [[0, language.say("its best trial")], [1, language.say("the mean of its trials")]], Number(choice.mean), (at) => { choice.mean = at === 1; }),
    );
    names.forEach(([at, key]) => {
      if (at === choice.x || at === choice.y) return;
      const labels = sweep.names[at].coarse ?? sweep.names[at].labels;
      const options = [[NONE, language.say("any")], ...labels.map((text, bin) => [bin, text])];
      parts.push(select(`heat-fixed-${at}`, language.say("{0} is", key), options, choice.fixed[at], (bin) => { choice.fixed[at] = bin; }));
    });
    place.replaceChildren(...parts);
  }

  function show() {
    cells = gathered(choice);
    chosen = null;
    const metric = sweep.metrics[choice.metric];
    const width = cells.columns.length;
    const values = Array.from(cells.count, (_, at) => valueAt(at));
    const known = values.filter((value) => !Number.isNaN(value)).sort((one, other) => one - other);
    const [low, high] = [known[Math.floor(0.02 * known.length)], known[Math.ceil(0.98 * known.length) - 1]];
    const share = (value) => (high > low ? (value - low) / (high - low) : 0.5);
    const winners = winner === NONE ? NONE : placeOf(winner);
    const table = find("heat");
    const head = element("tr");
    head.append(element("th"));
    const longest = Math.max(...cells.columns.map((text) => text.length));
    const every = Math.ceil(width / Math.max(2, Math.min(12, Math.floor((table.clientWidth - 120) / (7 * longest + 14)))));
    cells.columns.forEach((text, at) => head.append(element("th", at % every ? "" : text, { scope: "col", title: text })));
    const lines = cells.rows.map((text, y) => {
      const line = element("tr");
      line.append(element("th", text, { scope: "row", class: "side", title: text }));
      cells.columns.forEach((_, x) => {
        const at = y * width + x;
        const known = !Number.isNaN(values[at]);
        const cell = element("td", known && width <= FEW_COLUMNS && innerWidth > 700 ? shown(metric, values[at]) : "", { "data-cell": at });
        if (!cells.count[at]) cell.className = "none";
        else {
          cell.tabIndex = -1;
          if (known) {
            const colour = ramp(metric.better === "less" ? 1 - share(values[at]) : share(values[at]));
            cell.style.background = `rgb(${colour})`;
            cell.style.color = 0.3 * colour[0] + 0.59 * colour[1] + 0.11 * colour[2] > 130 ? "#000" : "#fff";
          } else cell.className = "unranked";
          cell.setAttribute("aria-label", `${described(at)}: ${shown(metric, values[at])}`);
          cell.title = `${described(at)}\n${language.say(metric.title)} ${shown(metric, values[at])}\n${counted(at)}`;
        }
        if (at === winners) cell.classList.add("winner");
        line.append(cell);
      });
      return line;
    });
    table.className = cells.rows.length > 20 ? "cells fine" : "cells";
    const title = element("tr");
    const own = (at, arrow) => `${sweep.names[at].key.replace("params.", "")} ${arrow}`;
    title.append(element("th", choice.y === NONE ? "" : own(choice.y, "↓"), { class: "side axis" }), element("th", own(choice.x, "→"), { class: "axis", colspan: width }));
    table.replaceChildren(title, head, ...lines);
    const first = table.querySelector(".winner[tabindex]") ?? table.querySelector("td[tabindex]");
    if (first) first.tabIndex = 0;
    legend(metric, low, high, known.length);
    find("cell").replaceChildren();
  }

  const placeOf = (row) => {
    const bins = (at) => (cells.isPair ? listed.bins : listed.coarse)[at]()[row];
    const inside = choice.fixed.every((bin, at) => bin === NONE || listed.coarse[at]()[row] === bin);
    return inside ? (choice.y === NONE ? 0 : bins(choice.y)) * cells.columns.length + bins(choice.x) : NONE;
  };
  const described = (at) => {
    const [x, y] = [at % cells.columns.length, Math.floor(at / cells.columns.length)];
    const parts = [`${sweep.names[choice.x].key} ${cells.columns[x]}`];
    if (choice.y !== NONE) parts.push(`${sweep.names[choice.y].key} ${cells.rows[y]}`);
    return parts.join(", ");
  };
  const counted = (at) => {
    const [all, done] = [cells.count[at], cells.completed[at]];
    return language.say(all === 1 ? "{0} trial, {1} completed" : "{0} trials, {1} completed", whole(all), whole(done));
  };

  function legend(metric, low, high, known) {
    const place = find("heat-legend");
    if (!known) {
      place.replaceChildren(element("span", language.say(choice.mean ? "No cell has a {0}." : "No cell has a {0} of a trial that ranks.", metric.title)));
      return;
    }
    const bar = element("i", "", { class: "ramp" });
    bar.style.background = `linear-gradient(90deg, ${RAMP.map((colour) => `rgb(${colour})`).join(", ")})`;
    const ends = metric.better === "less" ? [high, low] : [low, high];
    place.replaceChildren(
      element("b", language.say(metric.title)), element("i", shown(metric, ends[0])), bar, element("i", shown(metric, ends[1])),
      element("span", language.say("★ the winner; hatched: no trial that ranks. Arrow keys move, Enter opens a cell.")),
    );
  }

  // --- what is in a cell -----------------------------------------------------------------------------------

  function openCell(at, focus) {
    chosen?.classList.remove("chosen");
    chosen = find("heat").querySelector(`[data-cell="${at}"]`);
    if (!chosen || !cells.count[at]) return;
    chosen.classList.add("chosen");
    for (const cell of find("heat").querySelectorAll('td[tabindex="0"]')) cell.tabIndex = -1;
    chosen.tabIndex = 0;
    const rows = [];
    for (let row = 0; row < listed.trial.length; row++) if (placeOf(row) === at) rows.push(row);
    rows.sort((one, other) => (standsBefore(one, other) ? -1 : 1));
    const means = sweep.metrics.map((_, metric) => meanAt(at, metric));
    panel(`${described(at)}: ${counted(at)}`, rows.slice(0, MOST_SHOWN), cells.completed[at] > 1 ? means : null);
    if (focus) find("cell").focus();
  }

  function meanAt(at, metric) {
    const before = [choice.metric, choice.mean, cells];
    choice.metric = metric;
    cells = gathered(choice);
    const mean = cells.known[at] ? cells.sum[at] / cells.known[at] : NaN;
    [choice.metric, choice.mean, cells] = before;
    return mean;
  }

  function openTrial(number) {
    const row = listed.trial.indexOf(number);
    if (row === -1) return;
    panel(language.say("Trial {0}", number), [row], null);
    const own = placeOf(row);
    if (own !== NONE) {
      chosen?.classList.remove("chosen");
      chosen = find("heat").querySelector(`[data-cell="${own}"]`);
      chosen?.classList.add("chosen");
    }
    find("cell").scrollIntoView({ block: "nearest" });
    find("cell").focus({ preventScroll: true });
  }

  // --- start ------------------------------------------------------------------------------------------------

  find("heat").addEventListener("click", (event) => {
    const cell = event.target.closest("td[data-cell]");
    if (cell) openCell(Number(cell.dataset.cell), false);
  });
  find("heat").addEventListener("keydown", (event) => {
    const cell = event.target.closest("td[data-cell]");
    if (!cell) return;
    const [at, width] = [Number(cell.dataset.cell), cells.columns.length];
    const step = { ArrowLeft: -1, ArrowRight: 1, ArrowUp: -width, ArrowDown: width }[event.key];
    if (event.key === "Enter" || event.key === " ") openCell(at, true);
    else if (step === undefined) return;
    else {
      let to = at + step;
      const stays = () => (Math.abs(step) > 1 ? to >= 0 && to < cells.count.length : Math.floor(to / width) === Math.floor(at / width));
      while (stays() && !cells.count[to]) to += step;
      const next = stays() && find("heat").querySelector(`[data-cell="${to}"]`);
      if (next) {
        [cell.tabIndex, next.tabIndex] = [-1, 0];
        next.focus();
      }
    }
    event.preventDefault();
  });
  document.addEventListener("click", (event) => {
    const one = event.target.closest(".pick, #parallel path[data-trial]");
    if (one) openTrial(Number(one.closest("[data-trial]").dataset.trial));
  });
  find("parallel-range")?.addEventListener("input", (event) => {
    const lines = [...document.querySelectorAll("#parallel path[data-trial]")];
    const hidden = lines.length - Math.ceil((lines.length * event.target.value) / 100);
    lines.forEach((line, at) => line.toggleAttribute("hidden", at < hidden));
    find("parallel-share").textContent = event.target.value;
  });
  if (location.protocol === "file:") for (const link of document.querySelectorAll("a.launch")) link.hidden = true;
  const draw = () => {
    choices();
    show();
  };
  language.follow(draw);
  draw();
  document.documentElement.dataset.swept = "yes";
})();
