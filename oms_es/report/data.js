"use strict";
/* The data of the page: inert JSON, parsed when it is first needed. Money is text and stays text. */

const Data = (() => {
  const parsed = new Map();

  /** Return the value of a block of JSON, parsed once; null when the page has no such block. */
  function json(id) {
    if (!parsed.has(id)) {
      const block = document.getElementById(id);
      parsed.set(id, block === null ? null : JSON.parse(block.textContent));
    }
    return parsed.get(id);
  }

  /** Rows that are stored column by column; see columns.py. */
  class Table {
    constructor(content) {
      this.length = content.rows;
      this.columns = content.columns;
    }
    get(name, n) {
      const column = this.columns[name];
      if (Array.isArray(column)) return column[n];
      if ("like" in column) return this.get(column.like, n);
      if ("same" in column) return column.same;
      if ("from" in column) return column.from + n;
      return column.values[column.at[n]];
    }
    row(n) {
      return Object.fromEntries(Object.keys(this.columns).map((name) => [name, this.get(name, n)]));
    }
  }

  const tables = new Map();
  function table(id) {
    if (!tables.has(id)) tables.set(id, new Table(json(id)));
    return tables.get(id);
  }

  const day = json("day");

  /** Return the last place in sorted `values` that is at most `wanted`; -1 for none. */
  function lastUpTo(values, wanted) {
    let low = 0, high = values.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (values[middle] <= wanted) low = middle + 1; else high = middle;
    }
    return low - 1;
  }

  /** Rows that arrived after the page was made: in a list, row by row. */
  class NewRows {
    constructor() { this.list = []; }
    get length() { return this.list.length; }
    get(name, n) { return this.list[n][name]; }
    row(n) { return this.list[n]; }
  }

  const bookKey = (row) => JSON.stringify([row.account, row.symbol, row.currency]);

  /** Positions, or sums per currency, by one clock: the row of each key that is valid at an event. */
  class Track {
    constructor(name, keyOf) {
      this.name = name;
      this.keyOf = keyOf;
      this.places = new Map();
      this.newer = new NewRows();
      this.newerSeqs = new Map();
    }
    /** Add rows that a live page has received. */
    append(rows) {
      for (let i = 0; i < rows.length; i++) {
        const key = this.keyOf(rows, i);
        if (!this.newerSeqs.has(key)) this.newerSeqs.set(key, { seqs: [], at: [] });
        this.newerSeqs.get(key).seqs.push(rows.get("seq", i));
        this.newerSeqs.get(key).at.push(this.newer.list.push(rows.row(i)) - 1);
      }
    }
    /** Replace all rows. */
    replace(rows) {
      [this.newer, this.newerSeqs, this.gone] = [new NewRows(), new Map(), true];
      this.append(rows);
    }
    chunk(n) {
      if (!this.places.has(n)) {
        const rows = table(`${this.name}-${n}`), seqs = new Map();
        for (let i = 0; i < rows.length; i++) {
          const key = this.keyOf(rows, i);
          if (!seqs.has(key)) seqs.set(key, { seqs: [], at: [] });
          seqs.get(key).seqs.push(rows.get("seq", i));
          seqs.get(key).at.push(i);
        }
        this.places.set(n, { rows, seqs });
      }
      return this.places.get(n);
    }
    /** Return the row of a key at an event; null before its first. */
    at(seq, key) {
      const newer = this.newerSeqs.get(key), last = newer === undefined ? -1 : lastUpTo(newer.seqs, seq);
      if (last >= 0) return this.newer.row(newer.at[last]);
      const n = this.gone ? -1 : lastUpTo(day.index[this.name], seq);
      if (n < 0) return null;
      const { rows, seqs } = this.chunk(n), found = seqs.get(key);
      if (found === undefined) return null;
      const place = lastUpTo(found.seqs, seq);
      return place < 0 ? null : rows.row(found.at[place]);
    }
    /** Yield every row of a key, without the rows that repeat the state at the start of a chunk. */
    *all(key) {
      for (let n = 0; n < day.index[this.name].length && !this.gone; n++) {
        const { rows, seqs } = this.chunk(n), found = seqs.get(key);
        if (found === undefined) continue;
        for (let i = 0; i < found.at.length; i++) {
          if (n === 0 || found.seqs[i] >= day.index[this.name][n]) yield [rows, found.at[i]];
        }
      }
      for (const place of this.newerSeqs.get(key)?.at ?? []) yield [this.newer, place];
    }
  }

  const byBook = (rows, i) =>
    JSON.stringify([rows.get("account", i), rows.get("symbol", i), rows.get("currency", i)]);
  const byCurrency = (rows, i) => rows.get("currency", i);
  const tracks = {}, sums = {};
  for (const clock of ["recorded", "event"]) {
    tracks[clock] = new Track(`track-${clock}`, byBook);
    sums[clock] = new Track(`sums-${clock}`, byCurrency);
  }

  const newEvents = new NewRows(), newSeqs = [], newOf = { orders: new Map(), fills: new Map() };
  const nameOf = { orders: (row) => JSON.stringify([row.account, row.order_id]), fills: (row) => row.seq };

  /** Add what a live page has received. */
  function append(news) {
    Object.assign(day, news.day);
    const events = new Table(news.events);
    for (let i = 0; i < events.length; i++) {
      newEvents.list.push(events.row(i));
      newSeqs.push(events.get("seq", i));
    }
    tracks.recorded.append(new Table(news.rows));
    sums.recorded.append(new Table(news.sums));
    for (const name of ["orders", "fills"]) for (const row of news[name]) newOf[name].set(nameOf[name](row), row);
    json("verdicts").push(...news.verdicts);
    json("positions").positions = news.positions;
    json("pnl").days = news.pnl;
  }

  /** Return the event of the day at `seq`, or the last one before it; null before the first. */
  function eventAt(seq) {
    if (newEvents.length && newEvents.get("seq", 0) <= seq) return newEvents.row(lastUpTo(newSeqs, seq));
    const n = lastUpTo(day.index.events, seq);
    if (n < 0) return null;
    const rows = table(`events-${n}`);
    let low = 0, high = rows.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (rows.get("seq", middle) <= seq) low = middle + 1; else high = middle;
    }
    return low === 0 ? null : rows.row(low - 1);
  }

  /** Yield the events of the day with first <= seq <= last. */
  function* eventsBetween(first, last) {
    const start = Math.max(0, lastUpTo(day.index.events, first));
    for (let n = start; n < day.index.events.length && day.index.events[n] <= last; n++) {
      const rows = table(`events-${n}`);
      for (let i = 0; i < rows.length; i++) {
        const seq = rows.get("seq", i);
        if (seq > last) return;
        if (seq >= first) yield [rows, i];
      }
    }
    for (let i = lastUpTo(newSeqs, first - 1) + 1; i < newSeqs.length && newSeqs[i] <= last; i++) yield [newEvents, i];
  }

  /** Yield every row of a list in chunks: orders, fills. */
  function* each(name) {
    for (let n = 0; n < day.index[name].length; n++) {
      const rows = table(`${name}-${n}`);
      for (let i = 0; i < rows.length; i++) if (!newOf[name].size || !newOf[name].has(nameOf[name](rows.row(i)))) yield [rows, i];
    }
    const newer = new NewRows();
    newer.list.push(...newOf[name].values());
    for (let i = 0; i < newer.length; i++) yield [newer, i];
  }

  return { day, json, append, Table, NewRows, tracks, sums, bookKey, eventAt, eventsBetween, each, lastUpTo };
})();

/* Text for the eye: groups of three digits, signs, times. Nothing is rounded here. */
const Text = {
  number(text, signed = false) {
    if (text === null || text === undefined) return "–";
    const negative = String(text).startsWith("-");
    const [whole, fraction] = String(text).replace("-", "").split(".");
    const sign = negative ? "-" : signed && Text.tone(text) === "gain" ? "+" : "";
    return sign + whole.replace(/\B(?=(\d{3})+$)/g, ",") + (fraction === undefined ? "" : `.${fraction}`);
  },
  /** Return the class of a gain or a loss; "" for 0 or no value. */
  tone(text) {
    if (text === null || text === undefined || !/[1-9]/.test(text)) return "";
    return String(text).startsWith("-") ? "loss" : "gain";
  },
  /** Return the difference of two decimals in text, exact; null where there is none. */
  minus(one, other) {
    if (one === null || other === null) return null;
    const places = Math.max(...[one, other].map((text) => (String(text).split(".")[1] || "").length));
    const whole = (text) => {
      const [head, tail = ""] = String(text).split(".");
      return BigInt(head + tail.padEnd(places, "0"));
    };
    const difference = whole(one) - whole(other), size = difference < 0n ? -difference : difference;
    const digits = size.toString().padStart(places + 1, "0"), cut = digits.length - places;
    const fraction = digits.slice(cut).replace(/0+$/, "");
    return (difference < 0n ? "-" : "") + digits.slice(0, cut) + (fraction ? `.${fraction}` : "");
  },
  /** Return the time of day, without the zeros at its end. */
  time(iso) {
    return iso ? iso.slice(11).replace("Z", "").replace(/\.?0+$/, (zeros, at) => (at < 8 ? zeros : "")) : "–";
  },
  moment(iso) {
    return iso ? `${iso.slice(0, 10)} ${Text.time(iso)}` : "–";
  },
  /** Return text with control and bidirectional characters escaped, as the command line has it. */
  safe(text) {
    const code = (character) => character.codePointAt(0).toString(16);
    return text.replace(/[\p{Cc}\p{Cf}\p{Cs}\p{Zl}\p{Zp}]/gu, (character) =>
      (character.length > 1 ? `\\U${code(character).padStart(8, "0")}` : `\\u${code(character).padStart(4, "0")}`));
  },
  minute(iso) {
    return iso.slice(11, 16);
  },
  pairs(values) {
    return Object.entries(values).map(([name, value]) => `${Text.plain(value)} ${name}`).join(", ");
  },
  plain(value) {
    if (value === null || value === undefined) return "–";
    if (Array.isArray(value)) return value.map(Text.plain).join(", ") || "–";
    return /^-?\d+(\.\d+)?$/.test(String(value)) ? Text.number(value) : String(value);
  },
};

/** Return an element; text from the log enters as text only. */
function el(name, attributes = {}, ...content) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (value === null || value === undefined || value === false) continue;
    if (key === "onclick") made.addEventListener("click", value);
    else made.setAttribute(key, value === true ? "" : value);
  }
  for (const each of content.flat()) if (each !== null && each !== undefined) made.append(each instanceof Node ? each : Text.safe(String(each)));
  return made;
}

/** Put text into an element. */
function put(id, text) {
  byId(id).textContent = Text.safe(text);
}

const byId = (id) => document.getElementById(id);
