"use strict";
/* The page: the chosen event, clock and book; keys, the address, and what follows from them. */

const Page = (() => {
  const { day, tracks, sums } = Data;
  const first = day.first_seq - 1;
  const start = { seq: day.last_seq, clock: "recorded", book: busiest(), from: null };
  const state = { ...start };
  const range = byId("seq"), rangeFrom = byId("from");

  function busiest() {
    const rows = Data.json("positions").positions;
    return rows.reduce((most, row, n) => (row.fills > rows[most].fills ? n : most), 0);
  }

  // --- what the page shows ---

  let due = 0, written = 0;
  /** Show the state with the next frame; several changes within a frame are shown once. */
  function changed() {
    if (!due) due = requestAnimationFrame(() => { due = 0; show(); });
  }

  function show() {
    range.value = state.seq;
    rangeFrom.hidden = state.from === null;
    if (state.from !== null) rangeFrom.value = state.from;
    Chart.mark(state.seq, state.from);
    showMoment();
    showPositions();
    showFigures();
    showNear();
    showDiff();
    byId("compare").setAttribute("aria-pressed", String(state.from !== null));
    put("compare", state.from === null ? "Compare" : "End comparison");
    clearTimeout(written);
    written = setTimeout(writeAddress, 100); // a browser limits how often an address changes
  }

  const count = (seq) => Text.number(String(seq));

  function showMoment() {
    const event = state.seq > first ? Data.eventAt(state.seq) : null;
    put("moment-seq", `Event ${count(state.seq)}`);
    put("moment-what", event === null ? "before the first event of the day" : ` ${Panel.words(event.event)} ${event.stream.replace(/^\w+\//, "")} ${event.what}`);
    const differs = event !== null && event.effective_at !== event.recorded_at;
    put("moment-when", event === null ? "" : `${Text.time(event.effective_at)}${differs ? `, recorded ${Text.time(event.recorded_at)}` : ""}`);
    range.setAttribute("aria-valuetext", `${byId("moment-seq").textContent}: ${byId("moment-what").textContent}`);
    const end = state.seq === day.last_seq;
    put("positions-note", end ? "at the end of the day" : `after event ${count(state.seq)}, ${state.clock === "event" ? "by event time" : "by recording time"}`);
    byId("to-end").disabled = end;
  }

  const atEnd = () => state.seq === day.last_seq;
  const cells = new Map();
  for (const row of document.querySelectorAll("[data-row]")) {
    cells.set(Number(row.dataset.row), { row, figures: [...row.querySelectorAll("[data-name]")] });
  }

  function showPositions() {
    for (const [book, { row, figures }] of cells) {
      const found = tracks[state.clock].at(state.seq, Data.bookKey(day.books[book]));
      row.classList.toggle("chosen", book === state.book);
      row.classList.toggle("absent", found === null);
      for (const cell of figures) {
        const value = found === null ? null : found[cell.dataset.name], isPnl = cell.dataset.name === "total_pnl";
        fill(cell, value, isPnl);
      }
    }
  }

  function fill(cell, value, signed) {
    const text = Text.number(value, signed);
    if (cell.textContent === text) return;
    cell.replaceChildren(signed ? el("span", { class: Text.tone(value) }, text) : text);
  }

  const FIGURES = { net: ["total_pnl", true], realized: ["realized_pnl", true], fees: ["fees", false] };
  function showFigures() {
    for (const cell of document.querySelectorAll(".stat [data-name]")) {
      const [name, currency] = cell.dataset.name.split(":");
      if (FIGURES[name] === undefined) continue;
      const [column, signed] = FIGURES[name], row = sums[state.clock].at(state.seq, currency);
      fill(cell, row === null ? "0" : row[column], signed);
    }
    const inside = state.seq !== day.last_seq;
    document.body.classList.toggle("inside", inside);
    put("after", inside ? `after event ${count(state.seq)}` : "");
  }

  function showNear() {
    const around = 4, low = Math.max(day.first_seq, Math.min(state.seq, day.last_seq - around) - around);
    const events = [...Data.eventsBetween(low, low + 2 * around)].map(([rows, i]) => rows.row(i));
    byId("near").replaceChildren(...events.map((event) => eventLine(event, event.seq === state.seq)));
  }

  const RESTATES = new Set(["FillBusted", "FillCorrected"]);
  function eventLine(event, chosen = false) {
    const isOrder = event.stream.startsWith("order/"), restates = RESTATES.has(event.event) || /, late\b/.test(event.what);
    return el("li", { class: `${chosen ? "chosen " : ""}${restates ? "restates" : ""}`, "aria-current": chosen ? "true" : null },
      el("button", { type: "button", class: "link seq", "data-open": `seq:${event.seq}` }, count(event.seq)),
      el("span", { class: "at" }, Text.time(event.effective_at).slice(0, 12)),
      el("span", { class: "kind" }, restates ? "▲ " : "", Panel.words(event.event)),
      isOrder ? el("button", { type: "button", class: "link", "data-open": `order:${event.stream.slice(6)}` }, event.stream.split("/").slice(2).join("/"))
        : el("span", {}, event.stream.split("/").slice(1).join("/")),
      el("span", { class: "words" }, event.what));
  }

  // --- comparison ---

  const COMPARED = [["quantity", "quantity"], ["cost_basis", "cost basis"], ["realized_pnl", "realized"], ["gross_realized_pnl", "before fees"], ["fees", "fees"], ["unrealized_pnl", "unrealized"]];
  const MOST = 200; // events between A and B in the list

  function showDiff() {
    byId("diff").hidden = state.from === null;
    if (state.from === null) return;
    const [a, b] = [Math.min(state.from, state.seq), Math.max(state.from, state.seq)];
    put("diff-note", `A is event ${count(a)}, B is event ${count(b)}, ${state.clock === "event" ? "by event time" : "by recording time"}`);
    const lines = day.books.flatMap((book, n) => differences(book, n, a, b));
    const titles = ["Position", "Figure", "A", "B", "Change"];
    const rows = lines.map(([number, book, name, one, other, change]) => el("tr", { "data-figure": name },
      el("th", { scope: "row" }, el("button", { type: "button", class: "link", "data-open": `position:${number}` }, book.symbol), day.books.length > 1 ? el("small", {}, ` ${book.account}`) : null),
      el("td", { "data-label": "Figure" }, COMPARED.find(([key]) => key === name)[1]),
      ...[["A", one], ["B", other]].map(([side, value]) => el("td", { class: "num", "data-label": side }, Text.number(value))),
      el("td", { class: `num ${name.includes("pnl") ? Text.tone(change) : ""}`, "data-label": "Change" }, Text.number(change, true))));
    const events = [];
    for (const [table, i] of Data.eventsBetween(a + 1, b)) if (events.push(table.row(i)) >= MOST) break;
    byId("diff-body").replaceChildren(
      rows.length ? el("div", { class: "scroll" }, el("table", {}, el("thead", {}, el("tr", {}, titles.map((title, n) => el("th", { scope: "col", class: n > 1 ? "num" : null }, title)))), el("tbody", {}, rows)))
        : el("p", { class: "empty" }, "No position differs."),
      el("h3", {}, b - a > MOST ? `The first ${MOST} events of ${count(b - a)} between A and B` : "Events between A and B"),
      el("ol", { class: "near" }, events.map((event) => eventLine(event))));
  }

  function differences(book, number, a, b) {
    const key = Data.bookKey(book), [one, other] = [a, b].map((seq) => tracks[state.clock].at(seq, key));
    return COMPARED.flatMap(([name]) => {
      const from = one === null ? null : one[name], to = other === null ? null : other[name];
      if (from === to) return [];
      return [[number, book, name, from, to, Text.minus(other === null ? "0" : to, one === null ? "0" : from)]];
    });
  }

  // --- the address ---

  function writeAddress() {
    const book = day.books[state.book], parts = new URLSearchParams();
    parts.set("seq", state.seq);
    parts.set("clock", state.clock);
    if (book !== undefined) {
      parts.set("symbol", book.symbol);
      if (day.books.filter((each) => each.symbol === book.symbol).length > 1) parts.set("account", book.account);
    }
    if (state.from !== null) parts.set("from", state.from);
    if (Panel.target !== null) parts.set("open", Panel.target);
    const wanted = `#${parts}`;
    if (location.hash !== wanted) history.replaceState(null, "", wanted);
  }

  function readAddress() {
    const parts = new URLSearchParams(location.hash.slice(1));
    const number = (name, missing) => (/^\d{1,15}$/.test(parts.get(name) ?? "") ? clamp(Number(parts.get(name))) : missing);
    state.seq = number("seq", day.last_seq);
    state.from = number("from", null);
    state.clock = parts.get("clock") === "event" ? "event" : "recorded";
    const found = day.books.findIndex((book) => book.symbol === parts.get("symbol") && [null, book.account].includes(parts.get("account")));
    state.book = found < 0 ? start.book : found;
    for (const each of document.querySelectorAll("[name=clock]")) each.checked = each.value === state.clock;
    drawChart();
    const target = parts.get("open");
    if (target !== null && target !== Panel.target) Panel.show(target, { quiet: true });
    changed();
  }

  // --- what the reader does ---

  const clamp = (seq) => Math.min(day.last_seq, Math.max(first, seq));

  function go(seq) {
    state.seq = clamp(seq);
    changed();
    if (Panel.target !== null && Panel.target.startsWith("position:")) Panel.render();
  }

  function drawChart() {
    const book = day.books[state.book];
    put("chart-title", book === undefined ? "No position" : book.symbol);
    const kinds = [["position", "position"], ["pnl", "P&L"], ["mark", "mark"]];
    if (day.spans.length) kinds.push(["hatched", "clocks differ"]);
    const ticks = [["refused", "▼ refused"], ["late", "◆ late"], ["halt", "▮ halt"]].filter(([kind]) => day.ticks.some((tick) => tick.kind === kind));
    byId("legend").replaceChildren(...[...kinds, ...ticks].map(([kind, words]) => el("li", { class: kind }, words)));
    if (book !== undefined) Chart.draw(state.book, state.clock);
  }

  /** Return the next event of the day that submits an order, in the direction of `step`. */
  function nextOrder(step) {
    const isSubmit = ([rows, i]) => rows.get("event", i) === "OrderSubmitted";
    const [low, high] = step > 0 ? [state.seq + 1, day.last_seq] : [day.first_seq, state.seq - 1];
    let found = null;
    for (const [rows, i] of Data.eventsBetween(low, high)) {
      if (!isSubmit([rows, i])) continue;
      found = rows.get("seq", i);
      if (step > 0) break;
    }
    return found ?? (step > 0 ? day.last_seq : first);
  }

  const KEYS = {
    ArrowLeft: (event) => go(state.seq - (event.shiftKey ? 10 : 1)), ArrowRight: (event) => go(state.seq + (event.shiftKey ? 10 : 1)),
    PageUp: () => go(nextOrder(-1)), PageDown: () => go(nextOrder(1)), Home: () => go(first), End: () => go(day.last_seq),
    a: () => compare(state.seq), A: () => compare(state.seq),
  };

  function compare(seq) {
    state.from = state.from === null || seq !== null ? seq : null;
    changed();
  }

  document.addEventListener("keydown", (event) => {
    if (event.key === "Escape" && Panel.isOpen) {
      event.preventDefault();
      Panel.back();
      return;
    }
    const typing = event.target.matches("input[type=search], input[type=radio], #from");
    if (typing || event.ctrlKey || event.metaKey || event.altKey || KEYS[event.key] === undefined) return;
    if (Panel.isOpen && panelScrolls(event)) return;
    event.preventDefault();
    KEYS[event.key](event);
  });
  const panelScrolls = (event) => byId("panel").contains(event.target) && ["PageUp", "PageDown", "Home", "End"].includes(event.key);

  document.addEventListener("click", (event) => {
    const found = event.target.closest("[data-open], [data-book]");
    if (found === null) return;
    if (found.dataset.book !== undefined) {
      state.book = Number(found.dataset.book);
      drawChart();
      changed();
    } else if (found.dataset.open.startsWith("seq:")) {
      go(Number(found.dataset.open.slice(4)));
    } else {
      Panel.show(found.dataset.open, { inside: byId("panel").contains(found) });
    }
  });

  range.addEventListener("input", () => go(Number(range.value)));
  rangeFrom.addEventListener("input", () => compare(Number(rangeFrom.value)));
  byId("to-end").addEventListener("click", () => go(day.last_seq));
  byId("compare").addEventListener("click", () => {
    if (state.from !== null) compare(null);
    else compare(state.seq === day.last_seq ? first : state.seq);
  });
  byId("clock").addEventListener("change", (event) => {
    state.clock = event.target.value;
    Page.onClock();
    drawChart();
    changed();
    if (Panel.isOpen) Panel.render();
  });
  Chart.onPick = go;
  Panel.state = () => state;
  Panel.onChange = writeAddress;

  // --- orders ---

  function findOrders(words) {
    const found = [], wanted = words.trim().toLowerCase();
    let total = 0;
    for (const [rows, i] of Data.each("orders")) {
      const row = rows.row(i), text = [row.order_id, row.external_order_id, row.symbol, row.account, row.state, row.side].join(" ").toLowerCase();
      if (!wanted.split(/\s+/).every((word) => text.includes(word))) continue;
      total++;
      if (found.length < 200) found.push(row);
    }
    return [found, total];
  }

  function showOrders() {
    const [found, total] = findOrders(byId("find").value);
    document.querySelector(".orders .note").textContent = total > found.length ? `the first ${found.length} of ${count(total)}` : count(total);
    const cell = (value, right) => el("td", { class: right ? "num" : null }, value);
    const body = document.querySelector("#orders tbody");
    if (body === null) return;
    body.replaceChildren(...found.map((row) => el("tr", {},
      el("th", { scope: "row" }, el("button", { type: "button", class: "link", "data-open": `order:${row.account}/${row.order_id}` }, row.order_id)),
      cell(row.symbol), cell(row.side), cell(Text.number(row.quantity), true), cell(Text.number(row.price), true), cell(Text.number(row.filled_quantity), true),
      el("td", {}, el("span", { class: `state ${row.state}` }, row.state)))));
  }

  byId("find").hidden = false;
  byId("find").addEventListener("input", showOrders);

  // --- begin ---

  function showRange() {
    for (const input of [range, rangeFrom]) {
      input.min = first;
      input.max = day.last_seq;
    }
  }

  /** Show what a live page has received; a reader at the end stays at the end. */
  function grown(wasLast) {
    if (state.seq === wasLast) state.seq = day.last_seq;
    showRange();
    drawChart();
    showOrders();
    changed();
    if (Panel.isOpen && Panel.target.startsWith("position:") && atEnd()) Panel.render();
  }

  showRange();
  for (const id of ["chart-card", "near-card"]) byId(id).hidden = false;
  document.body.classList.add("scripted");
  addEventListener("hashchange", readAddress);
  addEventListener("resize", () => {
    if (Chart.needsDrawing()) drawChart();
    changed();
  });
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => { drawChart(); changed(); });
  document.addEventListener("DOMContentLoaded", readAddress);
  return { grown, get clock() { return state.clock; }, onClock: () => {} };
})();
