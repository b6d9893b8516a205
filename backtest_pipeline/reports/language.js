"use strict";
// Shows the page's own texts in English or Korean. An element that is marked with `data-said` has such a text;
// the mark's value is its template where the text has values (`data-with`). Texts from users are never marked.
const language = (() => {
  const KEPT = "backtest-report-language";
  const korean = JSON.parse(document.getElementById("korean").textContent);
  const followers = [];
  const english = new WeakMap();
  const titles = new WeakMap();

  const kept = () => {
    try { return localStorage.getItem(KEPT); } catch { return null; }
  };
  const keep = (name) => {
    try { localStorage.setItem(KEPT, name); } catch { /* a page without storage forgets */ }
  };
  const wanted = () => (navigator.language.toLowerCase().startsWith("ko") ? "ko" : "en");
  let chosen = ["en", "ko"].includes(kept()) ? kept() : wanted();

  const of = (text) => (chosen === "ko" && Object.hasOwn(korean, text) ? korean[text] : text);
  const filled = (template, values) => template.replace(/\{(\d)\}/g, (_, place) => values[place]);
  const SYMBOLS = /^([A-Z\d._-]+(?:, [A-Z\d._-]+)*) and (?:([\d,]+) more|([A-Z\d._-]+))$/;
  const withUnit = (value) => {
    const [, number, unit] = /^(\S+) (days?|bars?)$/.exec(value) ?? [];
    if (unit) return of(`{0} ${unit}`).replace("{0}", number);
    const [, symbols, more, last] = SYMBOLS.exec(value) ?? [];
    if (symbols) return more ? filled(of("{0} and {1} more"), [symbols, more]) : filled(of("{0} and {1}"), [symbols, last]);
    return of(value);
  };
  const say = (text, ...values) => filled(of(text), values.map((value) => withUnit(String(value))));
  const first = (memory, element, read) => {
    if (!memory.has(element)) memory.set(element, read());
    return memory.get(element);
  };

  function apply() {
    document.documentElement.lang = chosen;
    for (const element of document.querySelectorAll("[data-said]")) {
      const text = element.dataset.said || first(english, element, () => element.textContent);
      element.textContent = say(text, ...JSON.parse(element.dataset.with ?? "[]"));
    }
    for (const element of document.querySelectorAll("[data-said-title]")) {
      element.title = say(first(titles, element, () => element.title));
    }
    for (const table of document.querySelectorAll("table.months")) {
      const heads = [...table.tHead.rows[0].cells].map((cell) => cell.textContent);
      for (const row of table.tBodies[0].rows) {
        for (const cell of row.querySelectorAll("[data-label]")) cell.dataset.label = heads[cell.cellIndex];
      }
    }
    for (const button of document.querySelectorAll("[data-language]")) {
      button.setAttribute("aria-pressed", String(button.dataset.language === chosen));
    }
  }

  document.getElementById("language").hidden = false;
  for (const button of document.querySelectorAll("[data-language]")) {
    button.addEventListener("click", () => {
      chosen = button.dataset.language;
      keep(chosen);
      apply();
      for (const follow of followers) follow();
    });
  }
  apply();
  return { say, follow: (callback) => followers.push(callback) };
})();
