"use strict";
/* The live page: it hears that the log has grown, asks for what is new, and shows it. */

(() => {
  const { day, tracks, sums } = Data;
  const PAUSE = 300; // ms between two questions
  let heard = day.last_seq, asking = false, eventTimeOf = 0;

  async function ask(path, parameters) {
    const response = await fetch(`${path}?${new URLSearchParams(parameters)}`, { credentials: "same-origin" });
    if (!response.ok) throw new Error(`${path}: ${response.status}`);
    return response.json();
  }

  /** Ask for what is new until the page has everything that it heard of. */
  async function catchUp() {
    if (asking) return;
    asking = true;
    try {
      while (day.last_seq < heard) {
        const was = day.last_seq, news = await ask("/api/news", { day: day.trading_day, after: was });
        if (news.reload || news.day.books.length !== day.books.length) {
          reload(was, news.reload);
          return;
        }
        Data.append(news);
        await followEventTime();
        showChecks();
        showWorst();
        Page.grown(was);
        await new Promise((done) => setTimeout(done, PAUSE));
      }
      shown(true);
    } catch {
      shown(false);
    } finally {
      asking = false;
    }
  }

  /** Load the page again: for another trading day, or a new position. A reader at the end stays at the end. */
  function reload(was, isOtherDay) {
    const parts = new URLSearchParams(location.hash.slice(1));
    if (isOtherDay || Number(parts.get("seq")) === was) parts.delete("seq");
    history.replaceState(null, "", `/#${parts}`);
    location.reload();
  }

  /** By event time a late fill changes what was true earlier: the whole track comes anew. */
  async function followEventTime() {
    if (Page.clock !== "event" || eventTimeOf >= day.last_seq) return;
    const found = await ask("/api/track", {});
    tracks.event.replace(new Data.Table(found.rows));
    sums.event.replace(new Data.Table(found.sums));
    eventTimeOf = found.seq;
  }

  function showChecks() {
    const counts = { ...Object.fromEntries(Object.entries(day.exceptions).map(([kind, seqs]) => [kind, seqs.length])), quarantined: day.quarantine.length };
    for (const [kind, count] of Object.entries(counts)) {
      const check = document.querySelector(`.strip [data-open="list:${kind}"]`), bad = kind === "quarantined" ? ["bad", "ok"] : ["warn", "plain"];
      check.className = `check ${bad[count ? 0 : 1]}`;
      check.querySelector("b").textContent = Text.number(String(count));
      const sign = { bad: "✕", warn: "▲", ok: "✓", plain: "" }[bad[count ? 0 : 1]];
      check.querySelector("i")?.remove();
      if (sign) check.prepend(el("i", { "aria-hidden": "true" }, sign));
    }
    document.querySelector(".strip [data-open=chain] code").textContent = day.chain.slice(0, 12);
    put("basis", day.basis);
  }

  function showWorst() {
    if (day.worst === null) return;
    const note = document.querySelector("[data-note=worst]"), stat = note.closest(".stat");
    stat.querySelector("[data-name]").textContent = Text.number(day.worst.most);
    const bar = stat.querySelector("progress");
    if (bar !== null) bar.value = day.worst.used;
    note.replaceChildren(Text.safe(day.worst.of), day.worst.seq ? el("button", { type: "button", class: "link", "data-open": `seq:${day.worst.seq}` }, `at event ${Text.number(String(day.worst.seq))}`) : "no loss");
  }

  function shown(connected) {
    byId("live").hidden = false;
    byId("live").classList.toggle("loss", !connected);
    put("live", connected ? "● live" : "○ not connected");
  }

  // A token in the address would be in bookmarks and histories; from here on the cookie counts.
  if (location.search) history.replaceState(null, "", `/${location.hash}`);

  Panel.why = async (book) => (await ask("/api/why", { position: book.symbol, account: book.account })).positions.find((each) => each.currency === book.currency);
  Page.onClock = () => followEventTime().then(() => Page.grown(day.last_seq), () => shown(false));

  document.addEventListener("DOMContentLoaded", () => {
    const events = new EventSource(`/events?head&after=${day.last_seq}`);
    events.onopen = () => shown(true);
    events.onerror = () => shown(false);
    events.onmessage = (event) => {
      heard = JSON.parse(event.data).seq;
      catchUp();
    };
  });
})();
