"use strict";
/* The chart: position and P&L as steps over the events of the day, marks as a thin line, and where the clocks differ. */

const Chart = (() => {
  const { day, tracks } = Data;
  const first = day.first_seq - 1;
  let plot = null, drawn = null, marked = [day.last_seq, null], onPick = () => {}, playhead = null, start = null, between = null;

  const color = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
  const figure = (text) => (text === null ? null : Number(text));

  /** Return the steps of a book by one clock: places, position, P&L and mark. */
  function steps(clock, key) {
    const found = { seq: [], quantity: [], pnl: [], mark: [] };
    const add = (rows, i) => {
      const seq = rows.get("seq", i), again = found.seq[found.seq.length - 1] === seq;
      if (again) for (const values of Object.values(found)) values.pop(); // the last row of an event counts
      found.seq.push(seq);
      found.quantity.push(figure(rows.get("quantity", i)));
      found.pnl.push(figure(rows.get("total_pnl", i)));
      found.mark.push(figure(rows.get("mark_price", i)));
    };
    const reduced = Data.json(`chart-${clock}`);
    if (reduced === null) {
      for (const [rows, i] of tracks[clock].all(key)) add(rows, i);
    } else {
      const rows = new Data.Table(reduced);
      for (let i = 0; i < rows.length; i++) if (Data.bookKey(rows.row(i)) === key) add(rows, i);
    }
    if (found.seq.length && found.seq[0] > first) { // flat before the first fill
      for (const [name, value] of [["seq", first], ["quantity", 0], ["pnl", 0], ["mark", null]]) found[name].unshift(value);
    }
    if (found.seq.length && found.seq[found.seq.length - 1] < day.last_seq) {
      found.seq.push(day.last_seq);
      for (const name of ["quantity", "pnl", "mark"]) found[name].push(found[name][found[name].length - 1]);
    }
    return found;
  }

  /** Return rows for uPlot: the position by the other clock has its own column. */
  function columns(clock, key) {
    const shown = steps(clock, key), other = steps(clock === "event" ? "recorded" : "event", key);
    return uPlot.join([
      [shown.seq, shown.quantity, shown.pnl, shown.mark],
      [other.seq, other.quantity],
    ]);
  }

  function hatch(context) {
    const tile = document.createElement("canvas"), size = 8 * devicePixelRatio;
    tile.width = tile.height = size;
    const pen = tile.getContext("2d");
    pen.strokeStyle = color("--hatch");
    pen.lineWidth = devicePixelRatio;
    pen.beginPath();
    for (const shift of [-size, 0, size]) {
      pen.moveTo(shift, size);
      pen.lineTo(shift + size, 0);
    }
    pen.stroke();
    return context.createPattern(tile, "repeat");
  }

  function drawSpans(u) {
    const { ctx: pen, bbox } = u, book = day.books[drawn.book];
    pen.save();
    for (const span of day.spans) {
      if (span.account !== book.account || span.symbol !== book.symbol) continue;
      const left = u.valToPos(span.from, "x", true), right = u.valToPos(span.to, "x", true);
      pen.fillStyle = color("--hatch-back");
      pen.fillRect(left, bbox.top, Math.max(right - left, devicePixelRatio), bbox.height);
      pen.fillStyle = hatch(pen);
      pen.fillRect(left, bbox.top, Math.max(right - left, devicePixelRatio), bbox.height);
    }
    pen.restore();
  }

  function axes() {
    const line = { stroke: color("--line"), width: 1 };
    const text = { stroke: color("--muted"), font: `12px ${getComputedStyle(document.body).fontFamily}`, ticks: { show: false } };
    const time = (seq) => {
      const event = Data.eventAt(seq);
      return event === null ? "" : Text.minute(event.effective_at);
    };
    const figures = (u, values) => values.map((value) => (value === null ? "" : Text.number(String(+value.toPrecision(12)))));
    const wide = (u, values) => 14 + 7 * Math.max(3, ...(values || []).map((value) => value.length));
    return [
      { ...text, grid: { show: false }, size: 38, space: 72, values: (u, values) =>
        values.map((seq) => (Number.isInteger(seq) && seq > first ? `${Text.number(String(seq))}\n${time(seq)}` : "")) },
      { ...text, scale: "y", grid: line, values: figures, size: wide, stroke: color("--position") },
      { ...text, scale: "pnl", side: 1, grid: { show: false }, values: figures, size: wide, stroke: color("--pnl") },
    ];
  }

  function padded(u, low, high) {
    if (low === null) return [-1, 1];
    const room = (high - low) * 0.08 || Math.abs(high) * 0.1 || 1;
    return [low - room, high + room];
  }
  const withZero = (u, low, high) => (low === null ? [-1, 1] : padded(u, Math.min(low, 0), Math.max(high, 0)));

  function options(width, height) {
    const stepped = uPlot.paths.stepped({ align: 1 }), common = { paths: stepped, points: { show: false }, spanGaps: true };
    return {
      width, height, padding: [10, 4, 0, 4], legend: { show: false }, axes: axes(),
      cursor: { y: false, points: { show: false }, drag: { x: false, y: false } },
      scales: { x: { time: false, range: [first, Math.max(day.last_seq, first + 1)] }, y: { range: withZero }, pnl: { range: withZero }, mark: { range: padded } },
      series: [
        {},
        { ...common, scale: "y", stroke: color("--position"), width: 2 },
        { ...common, scale: "pnl", stroke: color("--pnl"), width: 1.5 },
        { ...common, scale: "mark", stroke: color("--mark"), width: 1 },
        { ...common, scale: "y", stroke: color("--position"), width: 1, dash: [3, 3] },
      ],
      hooks: { drawAxes: [drawSpans], ready: [align] },
    };
  }

  /** Draw the chart of a book by one clock. */
  function draw(book, clock) {
    const host = byId("chart"), width = host.clientWidth, height = host.clientHeight;
    if (!width) return;
    drawn = { book, clock, width };
    if (plot !== null) plot.destroy();
    const data = columns(clock, Data.bookKey(day.books[book]));
    if (!day.spans.length) data[4].fill(null);
    plot = new uPlot(options(width, height), data, host);
    const over = plot.over;
    between = el("div", { class: "between", hidden: true });
    start = el("div", { class: "playhead start", hidden: true });
    playhead = el("div", { class: "playhead" });
    over.append(between, start, playhead);
    const pick = (event) => onPick(Math.round(plot.posToVal(event.clientX - over.getBoundingClientRect().left, "x")));
    over.addEventListener("pointerdown", (event) => {
      over.setPointerCapture(event.pointerId);
      pick(event);
    });
    over.addEventListener("pointermove", (event) => {
      if (event.buttons & 1) pick(event);
    });
    mark(...marked);
  }

  /** Put the range input and the ticks below the plot, to the pixel. */
  function align(u) {
    const left = u.bbox.left / devicePixelRatio, width = u.bbox.width / devicePixelRatio, rail = byId("rail");
    rail.style.setProperty("--left", `${left}px`);
    rail.style.setProperty("--width", `${width}px`);
    drawTicks(width);
  }

  const TICKS = { refused: ["--loss", 0], late: ["--warn", 1], halt: ["--ink", 2], resume: ["--muted", 2] };
  function drawTicks(width) {
    const host = byId("ticks"), sheet = el("canvas"), height = 12;
    sheet.width = width * devicePixelRatio;
    sheet.height = height * devicePixelRatio;
    sheet.style.width = `${width}px`;
    sheet.style.height = `${height}px`;
    const pen = sheet.getContext("2d");
    pen.scale(devicePixelRatio, devicePixelRatio);
    for (const tick of day.ticks) {
      const [name, shape] = TICKS[tick.kind], x = ((tick.seq - first) / Math.max(1, day.last_seq - first)) * width;
      pen.fillStyle = color(name);
      pen.beginPath();
      if (shape === 0) { // a triangle
        pen.moveTo(x - 4, 3); pen.lineTo(x + 4, 3); pen.lineTo(x, 11);
      } else if (shape === 1) { // a diamond
        pen.moveTo(x, 2); pen.lineTo(x + 4.5, 6.5); pen.lineTo(x, 11); pen.lineTo(x - 4.5, 6.5);
      } else {
        pen.rect(x - 1.5, 1, 3, 11);
      }
      pen.fill();
    }
    host.replaceChildren(sheet);
  }

  /** Show the chosen event, and the start of a comparison. */
  function mark(seq, from) {
    marked = [seq, from];
    if (plot === null) return;
    const place = (value) => `translateX(${plot.valToPos(value, "x")}px)`;
    playhead.style.transform = place(seq);
    start.hidden = between.hidden = from === null;
    if (from !== null) {
      start.style.transform = place(from);
      const [low, high] = [Math.min(seq, from), Math.max(seq, from)].map((value) => plot.valToPos(value, "x"));
      between.style.transform = `translateX(${low}px)`;
      between.style.width = `${high - low}px`;
    }
  }

  const needsDrawing = () => drawn !== null && byId("chart").clientWidth !== drawn.width;
  return { draw, mark, needsDrawing, set onPick(handler) { onPick = handler; } };
})();
