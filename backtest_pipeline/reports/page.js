"use strict";
// Draws the charts of a page in the reader's colours, and makes its tables sort. Texts go into the page as
// text only. Bokeh's own callbacks are not used: they would need scripts made from text.
(() => {
  const find = (id) => document.getElementById(id);
  const read = (id) => find(id) && JSON.parse(find(id).textContent);
  const trades = read("trades");
  const candles = read("candles");
  const palettes = read("palette");
  const wantsDark = matchMedia("(prefers-color-scheme: dark)");
  let shown = { views: [], model: () => null };
  let symbol = null;

  const element = (name, text, attributes = {}) => {
    const made = document.createElement(name);
    made.textContent = text;
    for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
    return made;
  };
  const palette = () => (wantsDark.matches ? palettes.dark : palettes.light);

  // --- charts ---------------------------------------------------------------------------------------------

  async function draw() {
    const names = new Map(Object.entries(palettes.light).map(([name, colour]) => [colour, name]));
    const coloured = (_, value) => (names.has(value) ? palette()[names.get(value)] : value);
    const charts = JSON.parse(find("charts").textContent, coloured);
    for (const view of shown.views) view.clear();
    const item = { docid: "charts", roots: charts.roots, root_ids: Object.keys(charts.roots) };
    const views = await Bokeh.embed.embed_items({ charts: charts.document }, [item]);
    const bokeh = Bokeh.documents[Bokeh.documents.length - 1];
    shown = { views, model: (name) => bokeh.get_model_by_name(name) };
    document.querySelectorAll("[data-line]").forEach(showLine);
    if (candles && shown.model("candles")) showSymbol(symbol ?? firstSymbol());
    document.documentElement.dataset.drawn = wantsDark.matches ? "dark" : "light";
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

  function unpacked(text, kind) {
    return new kind(Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0)).buffer);
  }

  function showSymbol(chosen) {
    symbol = chosen;
    for (const tab of document.querySelectorAll("[data-symbol]")) {
      tab.setAttribute("aria-pressed", String(tab.dataset.symbol === chosen));
    }
    if (find("symbol")) find("symbol").value = chosen;
    const packed = Object.hasOwn(candles, chosen) ? candles[chosen] : null;
    find("price-gone").hidden = packed !== null;
    find("candle-note").textContent = packed && packed.bars > 1 ? `each candle is ${packed.bars} bars` : "";
    shown.model("candles").data = packed ? candleColumns(packed) : emptied("candles");
    const own = [...(trades.symbol ?? []).keys()].filter((row) => trades.symbol[row] === chosen);
    shown.model("marks").data = markColumns(own);
    shown.model("held").data = heldColumns(own);
  }

  const emptied = (name) =>
    Object.fromEntries(Object.keys(shown.model(name).data).map((column) => [column, []]));

  function candleColumns(packed) {
    const columns = { x: unpacked(packed.x, Float64Array) };
    for (const name of "ohlcv") columns[name] = unpacked(packed[name], Float32Array);
    columns.w = new Float64Array(columns.x.length).fill(packed.width_ms);
    columns.colour = Array.from(columns.o, (open, bar) => palette()[columns.c[bar] < open ? "loss" : "gain"]);
    return columns;
  }

  const outcome = (row) => palette()[trades.pnl[row] > 0 ? "gain" : "loss"];

  function markColumns(rows) {
    const long = (row) => trades.side[row] === "long";
    return {
      x: [...rows.map((row) => trades.entry_time[row]), ...rows.map((row) => trades.exit_time[row])],
      y: [...rows.map((row) => trades.entry_price[row]), ...rows.map((row) => trades.exit_price[row])],
      marker: [...rows.map((row) => (long(row) ? "triangle" : "inverted_triangle")), ...rows.map(() => "circle")],
      size: [...rows.map(() => 11), ...rows.map(() => 8)],
      colour: [...rows.map(() => palette().equity), ...rows.map(outcome)],
      what: [
        ...rows.map((row) => `${trades.side[row]} entry`),
        ...rows.map((row) => `${trades.side[row]} exit, ${words(trades.exit_reason[row])}, ${percent(trades.return_frac[row])}`),
      ],
    };
  }

  function heldColumns(rows) {
    const of = (name) => rows.map((row) => trades[name][row]);
    return { x0: of("entry_time"), y0: of("entry_price"), x1: of("exit_time"), y1: of("exit_price"), colour: rows.map(outcome) };
  }

  // --- trades ---------------------------------------------------------------------------------------------

  const number = (digits, least = digits) => {
    const format = new Intl.NumberFormat("en-US", { maximumFractionDigits: digits, minimumFractionDigits: least });
    return (value) => (value === null ? "-" : format.format(value));
  };
  const money = number(2);
  const price = number(4, 2);
  const percent = (value) => (value === null ? "-" : `${money(100 * value)}%`);
  const words = (text) => String(text).replaceAll("_", " ");
  const time = (value) => new Date(value).toISOString().slice(0, 16).replace("T", " ").replace(" 00:00", "");
  const COLUMNS = [
    ["symbol", "Symbol", String],
    ["side", "Side", String],
    ["entry_time", "Entry (UTC)", time],
    ["entry_price", "at", price],
    ["exit_time", "Exit (UTC)", time],
    ["exit_price", "at", price],
    ["quantity", "Quantity", number(4, 0)],
    ["pnl", "Profit", money],
    ["return_frac", "Return", percent],
    ["bars_held", "Bars", number(0)],
    ["mae_frac", "MAE", percent, "how far the price went against the position, at most"],
    ["mfe_frac", "MFE", percent, "how far the price went in the position's favour, at most"],
    ["fees", "Fees", money],
    ["exit_reason", "Exit by", words],
  ];
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
      heading.append(element("button", title, meaning ? { title: meaning } : {}));
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
      for (const [name, , written] of COLUMNS) {
        const tone = ["pnl", "return_frac"].includes(name) ? (trades.pnl[row] > 0 ? "gain" : "loss") : "";
        line.append(element("td", written(trades[name][row]), { class: `${side(name)} ${tone}` }));
      }
      line.addEventListener("click", () => seek(row));
      line.addEventListener("keydown", (event) => event.key === "Enter" && seek(row));
      return line;
    };
    const top = document.createElement("thead");
    top.append(head);
    table.append(top, body);
    show();
  }

  function pager(count, first, go) {
    const place = find("trades-pager");
    if (count <= PAGE_ROWS) return;
    const step = (text, to) => {
      const button = element("button", text);
      button.disabled = to < 0 || to >= count;
      button.addEventListener("click", () => go(to));
      return button;
    };
    const last = Math.min(first + PAGE_ROWS, count);
    const whole = number(0);
    place.replaceChildren(
      step("Previous", first - PAGE_ROWS),
      element("span", `${whole(first + 1)} to ${whole(last)} of ${whole(count)}`),
      step("Next", first + PAGE_ROWS),
    );
  }

  function seek(row) {
    const span = shown.model("span");
    if (!span) return;
    const [from, to] = [trades.entry_time[row], trades.exit_time[row]];
    const room = Math.max(2 * (to - from), 20 * (candles[trades.symbol[row]]?.width_ms ?? 86400000));
    if (shown.model("candles")) showSymbol(trades.symbol[row]);
    span.setv({ start: from - room, end: to + room });
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
  wantsDark.addEventListener("change", draw);
  draw();
})();
