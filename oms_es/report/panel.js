"use strict";
/* The panel: from a figure to its lots, fills, orders and decisions. Rows are those of --json; here they only become words. */

const Panel = (() => {
  const { day } = Data;
  const MOST = 100; // rows of a table before "more"
  const panel = byId("panel"), body = byId("panel-body");
  let path = [], state = null, why = null, opener = null, onChange = () => {};

  // --- parts ---

  const open = (target, label, kind = "link") => el("button", { type: "button", class: kind, "data-open": target }, label);
  const gain = (text) => el("span", { class: Text.tone(text) }, Text.number(text, true));
  const section = (title, ...content) => el("section", {}, el("h3", {}, title), ...content);
  const note = (...content) => el("p", { class: "note" }, ...content);

  function facts(pairs) {
    return el("dl", { class: "facts" }, pairs.filter(([, value]) => value !== null && value !== undefined && value !== "")
      .map(([name, value]) => el("div", {}, el("dt", {}, name), el("dd", {}, value))));
  }

  function command(text) {
    const copy = el("button", { type: "button", class: "copy", onclick: () => copied(copy, text) }, "Copy");
    return el("p", { class: "command" }, el("code", {}, text), copy);
  }

  async function copied(button, text) {
    try {
      await navigator.clipboard.writeText(text);
    } catch {
      const range = document.createRange();
      range.selectNodeContents(button.previousSibling);
      getSelection().removeAllRanges();
      getSelection().addRange(range);
      if (!document.execCommand("copy")) return;
    }
    button.textContent = "Copied";
  }

  const quoted = (text) => (/^[A-Za-z0-9._:\/-]+$/.test(text) ? text : `'${text.replace(/'/g, "'\\''")}'`);
  function oms(words, { account = null, seq = null, day: ofDay = false } = {}) {
    const parts = ["oms", ...words.map(quoted)];
    if (account !== null) parts.push("--account", quoted(account));
    if (seq !== null) parts.push("--at-seq", String(seq));
    if (ofDay) parts.push("--day", day.trading_day);
    return command([...parts, "--log", quoted(day.log)].join(" "));
  }

  /** Return a table; columns are [title, cell, is it a number]. `sum` is a first row that adds up. */
  function table(columns, count, rowAt, sum = null, kind = null) {
    const head = el("thead", {}, el("tr", {}, columns.map(([title, , right]) => el("th", { scope: "col", class: right ? "num" : null }, title))));
    const rows = el("tbody");
    const line = (row, kind) => el("tr", { class: kind }, columns.map(([title, cell, right]) =>
      el("td", { class: right ? "num" : null, "data-label": title }, cell(row) ?? "–")));
    if (sum !== null) rows.append(el("tr", { class: "sum" }, columns.map(([title, , right], n) =>
      el("td", { class: right ? "num" : null, "data-label": title }, n === 0 ? "in all" : sum[title] ?? ""))));
    let shown = 0;
    const more = el("button", { type: "button", class: "more" });
    const grow = () => {
      for (const end = Math.min(count, shown + MOST); shown < end; shown++) rows.append(line(rowAt(shown)));
      more.hidden = shown >= count;
      more.textContent = `Show more (${Text.number(String(count - shown))} left)`;
    };
    more.addEventListener("click", grow);
    grow();
    return el("div", { class: "scroll" }, el("table", { class: kind }, head, rows), more);
  }

  /** Return an element that is filled when an answer has arrived. */
  function later(answer, shown) {
    const place = el("div", {}, note("…"));
    answer.then((found) => place.replaceChildren(...shown(found)), () => place.replaceChildren(note("The server does not answer.")));
    return place;
  }

  // --- a position ---

  function position(number) {
    const book = day.books[number], key = Data.bookKey(book), { seq, clock } = state();
    const row = Data.tracks[clock].at(seq, key);
    const by = clock === "event" ? "by event time" : "by recording time";
    const content = [note(`After event ${Text.number(String(seq))}, ${by}, ${day.method.toUpperCase()}; account ${book.account}.`)];
    if (row === null) content.push(el("p", { class: "empty" }, "No fill of this position yet."));
    else content.push(facts([
      ["Quantity", Text.number(row.quantity)], ["Average price", Text.number(row.avg_price)],
      ["Cost basis", Text.number(row.cost_basis)], ["Mark", Text.number(row.mark_price)],
      ["P&L", gain(row.total_pnl)], ["Unrealized", gain(row.unrealized_pnl)],
      ["Realized", gain(row.realized_pnl)], ["Before fees", gain(row.gross_realized_pnl)],
      ["Fees", Text.number(row.fees)], ["Fees in other currencies", row.other_fees ? Text.pairs(row.other_fees) : null], ["Fills", Text.number(String(row.fills))], ["In", row.currency],
    ]));
    if (why === null) content.push(...parts(Data.json(`why-${number}`), seq));
    else content.push(later(why(book), (found) => parts(found, seq)));
    content.push(oms(["why", "position", book.symbol], { account: book.account, seq: day.last_seq < day.log_seq ? day.last_seq : null }));
    return { title: book.symbol, content };
  }

  function parts(why, seq) {
    const listed = (rows) => (Array.isArray(rows) ? Object.assign(new Data.NewRows(), { list: rows }) : new Data.Table(rows));
    const [lots, matches, fees] = ["lots", "matches", "fees_paid"].map((name) => listed(why[name]));
    const fill = (name) => (row) => open(`fill:${row[name]}`, Text.number(String(row[name])));
    const order = (name) => (row) => open(`order:${why.account}/${row[name]}`, row[name]);
    const when = (name) => (row) => Text.time(row[name]);
    const number = (name) => (row) => Text.number(row[name]);
    const end = seq < day.last_seq ? ", at the end of the day" : "";
    const found = [
      section(`Open lots${end}`, lots.length ? table([
        ["Lot of fill", fill("seq")], ["When", when("occurred_at")], ["Order", order("order_id")],
        ["Quantity", number("quantity"), true], ["Price", number("price"), true], ["Cost", number("cost"), true],
      ], lots.length, (n) => lots.row(n), { Quantity: Text.number(why.quantity), Cost: Text.number(why.cost_basis) }) : el("p", { class: "empty" }, "No open lot: the position is flat.")),
    ];
    if (matches.length) found.push(section(`Matches: closed lots${end}`, table([
      ["Closed by fill", fill("closed_by_seq")], ["When", when("closed_by_occurred_at")], ["Order", order("closed_by_order_id")],
      ["Opened by fill", fill("opened_by_seq")], ["Quantity", number("quantity"), true], ["Cost", number("cost"), true],
      ["Proceeds", number("proceeds"), true], ["Realized", (row) => gain(row.realized_pnl), true],
    ], matches.length, (n) => matches.row(n), { Realized: gain(why.gross_realized_pnl) })));
    if (fees.length) found.push(section(`Fees${end}`, table([
      ["Fee of fill", fill("seq")], ["When", when("occurred_at")], ["Order", order("order_id")], ["Fee", number("fee"), true],
    ], fees.length, (n) => fees.row(n), { Fee: Text.number(why.fees) })));
    found.push(note(el("b", {}, why.adds_up ? "✓ The parts add up. " : "✕ The parts do not add up. "),
      "Realized ", Text.number(why.gross_realized_pnl), " before fees, less fees of ", Text.number(why.fees), " = ", Text.number(why.realized_pnl), " ", why.currency, "."));
    return found;
  }

  // --- a fill, an order ---

  function fill(seq) {
    let found = null;
    for (const [rows, i] of Data.each("fills")) if (rows.get("seq", i) === Number(seq)) found = rows.row(i);
    if (found === null) {
      const content = [note(`The fill of event ${Text.number(seq)} is of an earlier day than this page.`)];
      return { title: `Fill ${Text.number(seq)}`, content };
    }
    const flags = ["late", "forced", "busted", "corrected"].filter((name) => found[name]);
    const event = Data.eventAt(Number(seq));
    const content = [
      flags.length ? el("p", { class: "flags" }, flags.map((name) => el("span", { class: "flag" }, `▲ ${name}`))) : null,
      facts([
        ["Side", found.side], ["Symbol", found.symbol], ["Quantity", Text.number(found.quantity)], ["Price", Text.number(found.price)],
        ["Fee", Text.number(found.fee)], ["Notional", `${Text.number(found.notional)} ${found.currency}`], ["Trade", found.trade_id],
        ["Account", found.account],
      ]),
      times(event),
      el("p", {}, open(`order:${found.account}/${found.order_id}`, `Order ${found.order_id}`, "next"), " ", open(`seq:${seq}`, "Show in the chart", "next")),
      oms(["order", found.order_id], { account: found.account }),
    ];
    return { title: `Fill ${Text.number(seq)}`, content };
  }

  function times(event) {
    if (event === null) return null;
    return facts([["Event time", Text.moment(event.effective_at)], ["Recording time", Text.moment(event.recorded_at)], ["Event", Text.number(String(event.seq))]]);
  }

  function order(name) {
    const cut = name.indexOf("/"), account = name.slice(0, cut), id = name.slice(cut + 1);
    let found = null;
    for (const [rows, i] of Data.each("orders")) {
      if (rows.get("order_id", i) === id && rows.get("account", i) === account) found = rows.row(i);
    }
    const content = [];
    if (found === null) content.push(note("This order has no event on this day."));
    else {
      const price = found.price === null ? "" : ` at ${Text.number(found.price)}`;
      content.push(
        el("p", { class: "lead" }, `${found.side} ${Text.number(found.quantity)} ${found.symbol}, ${found.order_type}${price}: `, el("span", { class: `state ${found.state}` }, found.state)),
        found.violations.length ? el("ul", { class: "violations" }, found.violations.map((each) => el("li", {}, `✕ ${each}`))) : null,
        facts([
          ["Filled", Text.number(found.filled_quantity)], ["Open", Text.number(found.open_quantity)], ["Average price", Text.number(found.avg_fill_price)],
          ["Fees", Text.number(found.fees)], ["Account", found.account], ["Venue id", found.external_order_id],
          ["Time in force", found.time_in_force], ["Reduce only", found.reduce_only ? "yes" : null], ["Reason", found.reason], ["Venue's message", found.error_message],
        ]));
    }
    const verdicts = Data.json("verdicts").filter((each) => each.account === account && each.order_id === id);
    content.push(...verdicts.map(checks));
    const stream = `order/${account}/${id}`, events = [];
    for (const [rows, i] of Data.eventsBetween(day.first_seq, day.last_seq)) if (rows.get("stream", i) === stream) events.push(rows.row(i));
    content.push(section("History", history(events)));
    if (!verdicts.length) content.push(note("Its risk checks are not in this page: it was imported, came from outside, or the day has very many orders."));
    content.push(oms(verdicts.length ? ["why", "order", id] : ["order", id], { account }));
    return { title: `Order ${id}`, content };
  }

  function history(events) {
    return el("ol", { class: "history" }, events.map((event) => el("li", { class: event.event },
      open(`seq:${event.seq}`, Text.number(String(event.seq))),
      el("span", { class: "at" }, Text.time(event.effective_at)),
      el("span", {}, el("b", {}, words(event.event)), " ", event.what,
        event.event === "FillAdded" ? [" ", open(`fill:${event.seq}`, "fill")] : null))));
  }

  const words = (topic) => topic.replace(/\B([A-Z])/g, (letter) => ` ${letter.toLowerCase()}`);

  function checks(verdict) {
    const pairs = (values) => Object.entries(values).map(([name, value]) => `${name.split(".").pop().replace(/_/g, " ")} ${Text.plain(value)}`).join(", ") || "–";
    const outcome = verdict.recorded.length ? "refused" : "accepted";
    return section(`Risk checks: ${outcome}`,
      note(`Event ${Text.number(String(verdict.seq))}: ${verdict.asked}; ${verdict.limits_seq ? `limits of event ${Text.number(String(verdict.limits_seq))}` : "no limits were set"}. `,
        verdict.agrees ? "✓ The same result when decided again." : "✕ Another result when decided again."),
      table([
        ["Check", (row) => el("code", { title: row.says }, row.code)],
        ["Result", (row) => el("span", { class: row.holds ? "gain" : "loss" }, row.holds ? "✓ passed" : "✕ refused")],
        ["Limit", (row) => pairs(row.limits)], ["Measured", (row) => pairs(row.inputs)],
      ], verdict.checks.length, (n) => ordered(verdict.checks)[n], null, "checks"));
  }
  const ordered = (rows) => [...rows.filter((row) => !row.holds), ...rows.filter((row) => row.holds)];

  // --- lists and words ---

  const LISTS = { refused: "Refused", late: "Late fills", busted: "Busted fills", corrected: "Corrected fills", quarantined: "Quarantine" };
  function list(kind) {
    if (kind === "quarantined") return quarantine();
    const seqs = day.exceptions[kind], columns = [
      ["Event", (row) => open(`seq:${row.seq}`, Text.number(String(row.seq)))],
      ["When", (row) => Text.time(row.effective_at)],
      ["Order", (row) => open(`order:${row.stream.slice(6)}`, row.stream.split("/").slice(2).join("/"))],
      ["What", (row) => row.what],
    ];
    if (kind === "late") columns.splice(2, 0, ["Recorded", (row) => Text.time(row.recorded_at)]);
    const content = seqs.length ? [table(columns, seqs.length, (n) => Data.eventAt(seqs[n]))] : [el("p", { class: "empty" }, "None on this day.")];
    return { title: LISTS[kind], content };
  }

  function quarantine() {
    const rows = day.quarantine;
    const content = rows.length ? [
      note("These fills are recorded and count for exposure. A person accepts or rejects each."),
      table([
        ["Id", (row) => row.quarantine_id], ["Order", (row) => open(`order:${row.account}/${row.order_id}`, row.order_id)], ["Why", (row) => row.why],
        ["Fill", (row) => `${row.side ?? ""} ${Text.number(row.quantity)} ${row.symbol ?? ""} @ ${Text.number(row.price)}`], ["Event", (row) => open(`seq:${row.seq}`, Text.number(String(row.seq)))],
      ], rows.length, (n) => rows[n]),
    ] : [el("p", { class: "empty" }, "No fill is in quarantine.")];
    return { title: LISTS.quarantined, content: [...content, oms(["quarantine"])] };
  }

  function pnl() {
    const rows = Data.json("pnl").days, columns = [
      ["Symbol", (row) => {
        const book = day.books.findIndex((each) => Data.bookKey(each) === Data.bookKey(row));
        return book < 0 ? row.symbol : open(`position:${book}`, row.symbol);
      }],
      ["Account", (row) => row.account], ["Realized", (row) => gain(row.realized_pnl), true], ["Before fees", (row) => gain(row.gross_realized_pnl), true],
      ["Fees", (row) => Text.number(row.fees), true], ["Change", (row) => gain(row.unrealized_change), true], ["Total", (row) => gain(row.total_pnl), true], ["In", (row) => row.currency],
    ];
    return { title: "P&L of the day", content: [note("Realized is net of fees; change is that of unrealized P&L on the day."), table(columns, rows.length, (n) => rows[n]), oms(["pnl"], { day: true })] };
  }

  const WORDS = {
    decisions: () => ["Decisions", day.checked === null
      ? "The commands of this day were not decided again for this page; the command below does it."
      : `${Text.number(String(day.checked))} commands were decided again on the events before each of them; ${Text.number(String(day.divergent))} came out differently.`, ["replay", "--check"]],
    day: () => ["Trading day", day.closed
      ? `The day is closed. ${day.differing.length ? `These digests are others than at its closing: ${day.differing.join(", ")}.` : "A replay comes to the digests of its closing."}`
      : "The day is open: later events may still be booked on it.", ["replay"]],
    proof: () => ["Checkpoint", "No signed checkpoint was compared with this log for the page.", ["replay", "--check"]],
  };
  function explain(name) {
    const [title, text, words] = WORDS[name]();
    return { title, content: [el("p", {}, text), oms(words, { day: true })] };
  }
  function chain() {
    return { title: "Hash chain", content: [el("p", {}, "Each event is chained to the one before by SHA-256. This is the value after the last event of the day; it changes when any event before it is changed."), command(day.chain)] };
  }

  // --- the path ---

  const VIEWS = { position, fill, order, list, pnl, chain, decisions: () => explain("decisions"), day: () => explain("day"), proof: () => explain("proof") };

  function view(target) {
    const cut = target.indexOf(":"), name = cut < 0 ? target : target.slice(0, cut);
    return VIEWS[name] === undefined ? null : VIEWS[name](cut < 0 ? "" : target.slice(cut + 1));
  }

  function render() {
    panel.hidden = !path.length;
    document.body.classList.toggle("with-panel", path.length > 0);
    if (!path.length) return;
    const found = view(path[path.length - 1].target);
    path[path.length - 1].title = found.title;
    put("panel-title", found.title);
    body.replaceChildren(...found.content.filter((each) => each !== null));
    byId("crumbs").replaceChildren(...path.slice(0, -1).flatMap((step, n) => [
      el("button", { type: "button", class: "link", onclick: () => back(path.length - 1 - n) }, step.title), el("span", { "aria-hidden": "true" }, "›")]));
  }

  /** Open what is behind a figure; from inside the panel the path grows. */
  function show(target, { inside = false, quiet = false } = {}) {
    if (view(target) === null) return;
    if (!inside) {
      path = [];
      opener = document.activeElement;
    }
    if (!path.length || path[path.length - 1].target !== target) path.push({ target, title: "" });
    render();
    panel.scrollTop = 0;
    if (!quiet) panel.focus();
    onChange();
  }

  /** Go back some steps; from the first one the panel closes. */
  function back(steps = 1) {
    path = path.slice(0, Math.max(0, path.length - steps));
    render();
    if (!path.length && opener !== null && opener.isConnected) opener.focus();
    onChange();
  }

  byId("close").addEventListener("click", () => back(path.length));
  return {
    show, back, render,
    get target() { return path.length ? path[path.length - 1].target : null; },
    get isOpen() { return path.length > 0; },
    set state(reader) { state = reader; },
    set onChange(handler) { onChange = handler; },
    /** How a live page asks for the parts of a position; an offline page has them. */
    set why(ask) { why = ask; },
    words,
  };
})();
