"use strict";
// Draws the charts of a page in the reader's colours, and makes its tables sort. Texts go into the page as
// text only. Bokeh's own callbacks are not used: they would need scripts made from text.
(() => {
  const find = (id) => document.getElementById(id);
  const { say } = language;
  const read = (id) => find(id) && JSON.parse(find(id).textContent);
  const trades = read("trades");
  const candles = read("candles");
  const palettes = read("palette");
  const wantsDark = matchMedia("(prefers-color-scheme: dark)");
  let shown = { views: [], model: () => null };
  let [price, whole, inSight, log] = [null, null, null, false];
  let symbol = null;

  const element = (name, text, attributes = {}) => {
    const made = document.createElement(name);
    made.textContent = text;
    for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
    return made;
  };
  const palette = () => (wantsDark.matches ? palettes.dark : palettes.light);

  const NUMBERED = { "trial ": "trial {0}", "number ": "number {0}" };

  // --- charts ---------------------------------------------------------------------------------------------

  async function draw() {
    const names = new Map(Object.entries(palettes.light).map(([name, colour]) => [colour, name]));
    // Tips are HTML of ours; texts of users come into them from columns.
    const translated = (tip) => tip.replace(/(>|\} )([A-Za-z][A-Za-z ]*)(\d*)(?=<)/g, (_, before, text, number) => before + (number ? say(NUMBERED[text] ?? `${text}{0}`, number) : say(text)));
    const coloured = (key, value) =>
      key === "tooltips" && typeof value === "string" ? translated(value) : names.has(value) ? palette()[names.get(value)] : value;
    const charts = JSON.parse(find("charts").textContent, coloured);
    if (log) charts.document.roots.filter((root) => read("log").includes(root.attributes.name)).forEach(toLog);
    const kept = inSight && shown.model("span");
    if (kept) inSight = { start: kept.start, end: kept.end };
    for (const view of shown.views) view.clear();
    const item = { docid: "charts", roots: charts.roots, root_ids: Object.keys(charts.roots) };
    const views = await Bokeh.embed.embed_items({ charts: charts.document }, [item]);
    const bokeh = Bokeh.documents[Bokeh.documents.length - 1];
    shown = { views, model: (name) => bokeh.get_model_by_name(name) };
    document.querySelectorAll("[data-line]").forEach(showLine);
    fitDates();
    const span = shown.model("span");
    if (span) {
      whole ??= { start: span.start, end: span.end };
      if (inSight) span.setv(inSight);
      inSight = whole;
    }
    if (price && shown.model("candles")) {
      price.connect();
      showSymbol(symbol ?? firstSymbol());
    }
    span?.change.connect(() => requestAnimationFrame(fitLog));
    fitLog();
    document.documentElement.dataset.drawn = wantsDark.matches ? "dark" : "light";
  }

  // Bokeh lets a linear height follow the time in sight, a logarithmic one not.
  function fitLog() {
    if (!log) return;
    const span = shown.model("span");
    for (const name of read("log")) {
      let [low, high] = [Infinity, -Infinity];
      for (const { x, y, l, h } of new Set(shown.model(name)?.renderers.map((one) => one.data_source.data))) {
        for (const heights of x ? [y, l, h].filter((column) => column) : []) {
          for (let row = 0; row < x.length; row++) {
            if (x[row] < span.start || x[row] > span.end || !(heights[row] > 0)) continue;
            low = Math.min(low, heights[row]);
            high = Math.max(high, heights[row]);
          }
        }
      }
      if (low > high) continue;
      const range = shown.model(name).y_range, room = Math.max((high / low) ** 0.06, 1.01);
      range.have_updated_interactively = true; // what Bokeh sets when a reader has moved it: it stays as it is
      range.setv({ start: low / room, end: high * room });
      shown.model(name).left[0].ticker.ticks = logTicks(low / room, high * room);
    }
  }

  function showYears(years) {
    const span = shown.model("span");
    const margin = (whole.end - whole.start) / 102; // of `Timeline.of`, a hundredth at both ends
    const last = whole.end - margin;
    const start = last - Number(years) * 365.25 * 86400000;
    span?.setv(years === "all" || start <= whole.start ? whole : { start, end: last + (last - start) / 100 });
  }

  // As many dates as there is room for.
  function fitDates() {
    const dates = shown.model("dates");
    if (dates) dates.desired_num_ticks = innerWidth < 620 ? 3 : 6;
  }

  function showLine(button) {
    const on = button.getAttribute("aria-pressed") === "true";
    for (const part of ["equity", "drawdown"]) {
      const line = shown.model(`${part}-${button.dataset.line}`);
      if (line) line.visible = on;
    }
  }

  // --- price ----------------------------------------------------------------------------------------------

  const firstSymbol = () =>
    find("symbol")?.value ?? document.querySelector("[data-symbol]")?.dataset.symbol ?? Object.keys(candles)[0];

  function showSymbol(chosen) {
    symbol = chosen;
    for (const tab of document.querySelectorAll("[data-symbol]")) {
      tab.setAttribute("aria-pressed", String(tab.dataset.symbol === chosen));
    }
    if (find("symbol")) find("symbol").value = chosen;
    find("price-gone").hidden = Object.hasOwn(candles, chosen);
    price.show(chosen);
    fitLog();
  }

  // --- trades ---------------------------------------------------------------------------------------------

  const number = (digits, least = digits) => {
    const format = new Intl.NumberFormat("en-US", { maximumFractionDigits: digits, minimumFractionDigits: least });
    return (value) => (value === null ? "-" : format.format(value));
  };
  const money = number(2);
  const priced = number(4, 2);
  const percent = (value) => (value === null ? "-" : `${money(100 * value)}%`);
  const words = (text) => say(String(text).replaceAll("_", " "));
  const time = (value) => new Date(value).toISOString().slice(0, 16).replace("T", " ").replace(" 00:00", "");
  const COLUMNS = [
    ["symbol", "Symbol", String],
    ["side", "Side", words],
    ["entry_time", "Entry (UTC)", time],
    ["entry_price", "at", priced],
    ["exit_time", "Exit (UTC)", time],
    ["exit_price", "at", priced],
    ["quantity", "Quantity", number(4, 0)],
    ["pnl", "Profit", money],
    ["return_frac", "Return", percent],
    ["bars_held", "Bars", number(0)],
    ["mae_frac", "MAE", percent, "how far the price went against the position, at most"],
    ["mfe_frac", "MFE", percent, "how far the price went in the position's favour, at most"],
    ["fees", "Fees", money],
    ["exit_reason", "Exit by", words],
  ];
  const LABELS = { entry_price: "Entry at", exit_price: "Exit at" };
  const PAGE_ROWS = 25;

  function tradesTable() {
    const table = find("trades-table");
    if (!table) return;
    const isText = (name) => typeof trades[name][0] === "string";
    const rows = [...trades.symbol.keys()];
    const body = document.createElement("tbody");
    let [by, down, first] = ["entry_time", false, 0];
    const head = element("tr", "");
    const side = (name) => (isText(name) || name.endsWith("_time") ? "" : "number");
    const headings = COLUMNS.map(([name, title, , meaning]) => {
      const heading = element("th", "", { scope: "col", "data-column": name, class: side(name) });
      heading.append(element("button", say(title), { "data-said": title, ...(meaning && { title: say(meaning) }) }));
      heading.firstChild.addEventListener("click", () => {
        [by, down, first] = [name, name === by ? !down : !isText(name), 0];
        show();
      });
      head.append(heading);
      return heading;
    });
    const show = () => {
      rows.sort((one, other) => compared(trades[by][one], trades[by][other], down) || one - other);
      for (const heading of headings) {
        if (heading.dataset.column === by) heading.setAttribute("aria-sort", down ? "descending" : "ascending");
        else heading.removeAttribute("aria-sort");
      }
      body.replaceChildren(...rows.slice(first, first + PAGE_ROWS).map(tradeRow));
      pager(rows.length, first, (to) => { first = to; show(); });
    };
    const tradeRow = (row) => {
      const line = element("tr", "", { tabindex: "0" });
      for (const [name, title, written] of COLUMNS) {
        const tone = ["pnl", "return_frac"].includes(name) ? (trades.pnl[row] > 0 ? "gain" : "loss") : "";
        const label = LABELS[name] ?? title;
        line.append(element("td", written(trades[name][row]), { class: `${side(name)} ${tone}`, "data-label": say(label) }));
      }
      line.addEventListener("click", () => seek(row));
      line.addEventListener("keydown", (event) => event.key === "Enter" && seek(row));
      return line;
    };
    const top = document.createElement("thead");
    top.append(head);
    table.append(top, body);
    show();
    language.follow(show);
  }

  function pager(count, first, go) {
    const place = find("trades-pager");
    if (count <= PAGE_ROWS) return;
    const step = (text, to) => {
      const button = element("button", say(text));
      button.disabled = to < 0 || to >= count;
      button.addEventListener("click", () => go(to));
      return button;
    };
    const last = Math.min(first + PAGE_ROWS, count);
    const whole = number(0);
    place.replaceChildren(
      step("Previous", first - PAGE_ROWS),
      element("span", say("{0} to {1} of {2}", whole(first + 1), whole(last), whole(count))),
      step("Next", first + PAGE_ROWS),
    );
  }

  function seek(row) {
    if (!shown.model("span")) return;
    if (shown.model("candles")) showSymbol(trades.symbol[row]);
    price.seek(row);
    find("price")?.scrollIntoView({ behavior: "smooth", block: "center" });
  }

  // --- any sortable table ---------------------------------------------------------------------------------

  function compared(one, other, down) {
    if (one === other) return 0;
    if (one === null || one === undefined) return 1;
    if (other === null || other === undefined) return -1;
    return (one < other ? -1 : 1) * (down ? -1 : 1);
  }

  function sortable(table) {
    const headings = [...table.tHead.rows[0].cells];
    headings.forEach((heading, column) => heading.querySelector("button")?.addEventListener("click", () => {
      const isText = !heading.classList.contains("number");
      const down = heading.hasAttribute("aria-sort") ? heading.getAttribute("aria-sort") === "ascending" : !isText;
      const key = (row) => {
        const cell = row.cells[column];
        return isText ? cell.textContent : "value" in cell.dataset ? Number(cell.dataset.value) : null;
      };
      const rows = [...table.tBodies[0].rows].sort((one, other) => compared(key(one), key(other), down));
      table.tBodies[0].append(...rows);
      for (const other of headings) other.removeAttribute("aria-sort");
      heading.setAttribute("aria-sort", down ? "descending" : "ascending");
    }));
  }

  // --- start ----------------------------------------------------------------------------------------------

  document.querySelectorAll("table.sortable").forEach(sortable);
  tradesTable();
  for (const tab of document.querySelectorAll("[data-symbol]")) {
    tab.addEventListener("click", () => showSymbol(tab.dataset.symbol));
  }
  find("symbol")?.addEventListener("change", (event) => showSymbol(event.target.value));
  for (const button of document.querySelectorAll("[data-line]")) {
    button.addEventListener("click", () => {
      button.setAttribute("aria-pressed", String(button.getAttribute("aria-pressed") !== "true"));
      showLine(button);
    });
  }
  if (trades) {
    price = priceView({
      colours: read("line-colours") ?? [],
      find, candles, trades, palette, element,
      model: (name) => shown.model(name),
      viewOf: (name) => shown.views.map((views) => views.find_one(shown.model(name))).find((view) => view),
      write: { time, price: priced, percent, words, whole: number(0) },
    });
  }
  for (const button of document.querySelectorAll("[data-years]")) {
    button.addEventListener("click", () => showYears(button.dataset.years));
  }
  const logButtons = [...document.querySelectorAll("[data-log]")];
  for (const button of logButtons) {
    button.addEventListener("click", () => {
      log = !log;
      for (const other of logButtons) other.setAttribute("aria-pressed", String(log));
      draw();
    });
  }
  markScrolling();
  document.querySelectorAll("details").forEach((part) => part.addEventListener("toggle", markScrolling));
  addEventListener("resize", fitDates);
  language.follow(() => {
    markScrolling();
    draw();
  });
  wantsDark.addEventListener("change", draw);
  draw();
})();
