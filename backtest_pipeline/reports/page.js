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
  let price = null;
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
    fitDates();
    if (price && shown.model("candles")) {
      price.connect();
      showSymbol(symbol ?? firstSymbol());
    }
    document.documentElement.dataset.drawn = wantsDark.matches ? "dark" : "light";
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
  }

  // --- trades ---------------------------------------------------------------------------------------------

  const number = (digits, least = digits) => {
    const format = new Intl.NumberFormat("en-US", { maximumFractionDigits: digits, minimumFractionDigits: least });
    return (value) => (value === null ? "-" : format.format(value));
  };
  const money = number(2);
  const priced = number(4, 2);
  const percent = (value) => (value === null ? "-" : `${money(100 * value)}%`);
  const words = (text) => String(text).replaceAll("_", " ");
  const time = (value) => new Date(value).toISOString().slice(0, 16).replace("T", " ").replace(" 00:00", "");
  const COLUMNS = [
    ["symbol", "Symbol", String],
    ["side", "Side", String],
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
  const markScrolling = () => {
    for (const frame of document.querySelectorAll(".wide")) {
      const scrolls = frame.scrollWidth > frame.clientWidth + 1;
      frame.classList.toggle("scrolls", scrolls);
      if (scrolls) frame.tabIndex = 0;
      else frame.removeAttribute("tabindex");
    }
  };
  markScrolling();
  document.querySelectorAll("details").forEach((part) => part.addEventListener("toggle", markScrolling));
  addEventListener("resize", () => {
    markScrolling();
    fitDates();
  });
  wantsDark.addEventListener("change", draw);
  draw();
})();
