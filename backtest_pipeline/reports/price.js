"use strict";
// Candles, trades and lines of the chosen symbol. As many bars make a candle as the time in sight asks for, and
// only candles in sight are handed to Bokeh, which draws bars beyond its frame at the frame's edge.
const priceView = ({ find, candles, trades, palette, model, viewOf, element, write, colours }) => {
  const PIXELS_A_CANDLE = 2.5, WIDEST_BODY_PX = 40, BODY_SHARE = 0.7, FEWEST_BARS = 20;
  let base = null, level = 0, group = [], pending = false;

  function unpacked(text, kind) {
    return new kind(Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0)).buffer);
  }

  function opened(packed) {
    const columns = { bars: packed.bars, step: packed.step_ms, last: unpacked(packed.ends, Uint32Array) };
    columns.x = Float64Array.from(unpacked(packed.x, Uint32Array), (count) => packed.first_ms + count * packed.unit_ms);
    columns.last = Float64Array.from(columns.last, (count) => packed.first_ms + count * packed.unit_ms);
    for (const name of "ohlcv") columns[name] = unpacked(packed[name], Float32Array);
    columns.lines = packed.lines.map(({ values, level: height, ...line }) => {
      const drawn = values ? unpacked(values, Float32Array) : null;
      return { ...line, at: (bar) => (drawn ? drawn[bar] : height) };
    });
    return columns;
  }

  // The first place whose value is at least this one.
  function placeOf(values, least) {
    let [low, high] = [0, values.length];
    while (low < high) {
      const middle = (low + high) >> 1;
      if (values[middle] < least) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  // The next of 1, 2 and 5 times a power of ten, so that zooming on changes few candles.
  function roundUp(count) {
    const power = 10 ** Math.floor(Math.log10(Math.max(count, 1)));
    return [1, 2, 5, 10].map((step) => step * power).find((step) => step >= count);
  }

  const pixels = () => viewOf("price")?.frame.bbox.width || 600;

  function merged(first, stop, size) {
    const rows = { end: [], x: [], from: [], to: [], o: [], h: [], l: [], c: [], v: [] };
    for (let start = first; start < stop; start += size) {
      const end = Math.min(start + size, base.x.length);
      let [high, low, volume] = [-Infinity, Infinity, 0];
      for (let bar = start; bar < end; bar++) {
        high = Math.max(high, base.h[bar]);
        low = Math.min(low, base.l[bar]);
        volume += base.v[bar];
      }
      rows.end.push(end - 1);
      rows.from.push(base.x[start]);
      rows.to.push(base.last[end - 1]);
      rows.x.push((base.x[start] + base.last[end - 1]) / 2);
      rows.o.push(base.o[start]);
      rows.h.push(high);
      rows.l.push(low);
      rows.c.push(base.c[end - 1]);
      rows.v.push(volume);
    }
    return rows;
  }

  function refresh() {
    const span = model("span");
    if (!base || !base.x.length || !span) return;
    const [from, to] = [span.start, span.end];
    const inSight = placeOf(base.x, to) - placeOf(base.last, from);
    const size = roundUp(Math.ceil((inSight * PIXELS_A_CANDLE) / pixels()));
    const body = Math.min(BODY_SHARE * base.step * base.bars * size, (WIDEST_BODY_PX * (to - from)) / pixels());
    const first = size * Math.floor(Math.max(placeOf(base.last, from - body / 2), 0) / size);
    const rows = merged(first, placeOf(base.x, to + body / 2), size);
    const seen = rows.x.map((x) => x + body / 2 > from && x - body / 2 < to);
    const columns = {};
    for (const [name, column] of Object.entries(rows)) columns[name] = column.filter((_, row) => seen[row]);
    group = columns;
    columns.w = columns.x.map(() => body);
    columns.left = columns.x.map((x) => x - body / 2);
    columns.right = columns.x.map((x) => x + body / 2);
    columns.colour = columns.o.map((open, row) => palette()[columns.c[row] < open ? "loss" : "gain"]);
    const { end: ends, from: _, to: __, ...drawn } = columns;
    model("candles").data = drawn;
    emptyLines();
    for (const line of base.lines) {
      const source = model(`line-${line.pane}-${line.place}`);
      if (source) source.data = { x: columns.x, y: ends.map(line.at) };
    }
    if (size !== level) {
      level = size;
      const bars = size * base.bars;
      find("candle-note").textContent = bars > 1 ? language.say("each candle is {0} bars", write.whole(bars)) : language.say("each candle is one bar");
      showTrades();
    }
    read(null);
  }

  function emptyLines() {
    for (let pane = -1, place; pane < 3; pane++) {
      for (place = 0; place < 6; place++) {
        const source = model(`line-${pane}-${place}`);
        if (source) source.data = { x: [], y: [] };
      }
    }
  }

  function soon() {
    if (pending) return;
    pending = true;
    requestAnimationFrame(() => {
      pending = false;
      refresh();
    });
  }

  // --- trades ---------------------------------------------------------------------------------------------

  let own = [];

  // A moment as the chart has it: in the middle of the candle that it belongs to.
  function drawnAt(moment) {
    if (!base || !base.x.length || level * base.bars === 1) return moment;
    const bar = Math.max(placeOf(base.x, moment + 1) - 1, 0);
    const start = level * Math.floor(bar / level);
    return (base.x[start] + base.last[Math.min(start + level, base.x.length) - 1]) / 2;
  }

  const outcome = (row) => palette()[trades.pnl[row] > 0 ? "gain" : "loss"];

  // Exits are rings and come first, so that an entry at the same bar stands inside, in sight.
  function showTrades() {
    const long = (row) => trades.side[row] === "long";
    const both = (exit, entry) => [...own.map(exit), ...own.map(entry)];
    model("marks").data = {
      x: both((row) => drawnAt(trades.exit_time[row]), (row) => drawnAt(trades.entry_time[row])),
      y: both((row) => trades.exit_price[row], (row) => trades.entry_price[row]),
      moment: both((row) => trades.exit_time[row], (row) => trades.entry_time[row]),
      marker: both(() => "circle", (row) => (long(row) ? "triangle" : "inverted_triangle")),
      size: both(() => 15, () => 9),
      width: both(() => 2.5, () => 1),
      alpha: both(() => 0, () => 1),
      colour: both(outcome, () => palette().equity),
      edge: both(outcome, () => palette().panel),
      what: both(
        (row) => `${trades.side[row]} exit, ${write.words(trades.exit_reason[row])}, ${write.percent(trades.return_frac[row])}`,
        (row) => `${trades.side[row]} entry`,
      ),
    };
    model("held").data = {
      x0: own.map((row) => drawnAt(trades.entry_time[row])),
      y0: own.map((row) => trades.entry_price[row]),
      x1: own.map((row) => drawnAt(trades.exit_time[row])),
      y1: own.map((row) => trades.exit_price[row]),
      colour: own.map(outcome),
    };
  }

  // --- what the pointer is at -----------------------------------------------------------------------------

  // Stands above the chart, where it covers neither candles nor the tips of trades.
  function read(moment) {
    const place = find("readout");
    if (!place) return;
    const count = group.x?.length ?? 0;
    if (!count) return place.replaceChildren();
    const after = moment === null ? count - 1 : placeOf(group.x, moment);
    const nearer = after > 0 && (after === count || moment - group.x[after - 1] < group.x[after] - moment);
    const row = moment !== null && nearer ? after - 1 : after;
    const [from, to] = [write.time(group.from[row]), write.time(group.to[row])];
    const colour = group.c[row] < group.o[row] ? "loss" : "gain";
    const parts = [element("b", from === to ? from : `${from} to ${to}`)];
    for (const [name, title] of [["o", "open"], ["h", "high"], ["l", "low"], ["c", "close"]]) {
      parts.push(pair(language.say(title), write.price(group[name][row]), colour));
    }
    parts.push(pair(language.say("volume"), write.whole(group.v[row]), ""));
    for (const line of base.lines) {
      const value = line.at(group.end[row]);
      const made = pair(line.name, Number.isFinite(value) ? write.price(value) : "-", "");
      made.lastChild.style.color = colours[line.place];
      parts.push(made);
    }
    place.replaceChildren(...parts);
  }

  function pair(title, text, kind) {
    const made = element("span", `${title} `);
    made.append(element("b", text, { class: kind }));
    return made;
  }

  function pointed(event) {
    const view = viewOf("price");
    if (!view) return;
    const at = view.frame.x_scale.invert(event.clientX - view.el.getBoundingClientRect().left);
    read(at);
  }

  // --- for the page ---------------------------------------------------------------------------------------

  function show(symbol) {
    const packed = Object.hasOwn(candles, symbol) ? candles[symbol] : null;
    base = packed && opened(packed);
    [level, group] = [0, {}];
    own = [...(trades.symbol ?? []).keys()].filter((row) => trades.symbol[row] === symbol);
    if (!base) {
      find("candle-note").textContent = "";
      const candleSource = model("candles");
      candleSource.data = Object.fromEntries(Object.keys(candleSource.data).map((column) => [column, []]));
      emptyLines();
      showTrades();
      read(null);
    }
    refresh();
  }

  // New figures have a new span.
  function connect() {
    model("span").change.connect(soon);
  }

  // Brings a trade into sight, with room beside it.
  function seek(row) {
    const [from, to] = [trades.entry_time[row], trades.exit_time[row]];
    const room = Math.max(2 * (to - from), FEWEST_BARS * (base?.step ?? 86400000));
    model("span").setv({ start: from - room, end: to + room });
  }

  for (const id of ["price", "volume"]) {
    find(id)?.addEventListener("pointermove", pointed);
    find(id)?.addEventListener("pointerleave", () => read(null));
  }
  if (find("price")) new ResizeObserver(soon).observe(find("price"));
  return { show, seek, connect };
};
