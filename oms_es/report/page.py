"""The page as one HTML file: its template, its data as inert JSON, and a policy that allows nothing else."""

import hashlib
from base64 import b64encode
from collections.abc import Iterable
from importlib.resources import files
from string import Template
from typing import Any

from oms_es.identifiers import escaped
from oms_es.queries.json_text import lists_json
from oms_es.report import tables
from oms_es.report.columns import CHUNK, chunks, inert, inert_text, packed
from oms_es.report.content import DayContent
from oms_es.report.markup import Html, html
from oms_es.report.tracks import chunked, reduced

Row = dict[str, Any]
SCRIPTS = ("vendor/uPlot.iife.min.js", "data.js", "chart.js", "panel.js", "page.js")
MOST_DRAWN = 20_000  # changes of positions; above that the chart has the extremes per pixel
STYLES = ("vendor/uPlot.min.css", "page.css")


def page(content: DayContent, *, live: bool = False) -> str:
    """Return the page of a trading day; a live one may ask its own server."""
    style = "".join(map(_asset, STYLES))
    scripts = [*map(_asset, (*SCRIPTS, *(("live.js",) if live else ())))]
    source = content.source
    account = "every account" if source.account is None else f"account {source.account}"
    count = len(content.orders)
    shown = f"{count:,}" if count <= tables.SHOWN else f"the first {tables.SHOWN} of {count:,}"
    blocks, more = _blocks(content)
    parts = {
        "policy": _policy(style, scripts, live=live),
        "title": f"{source.trading_day} {source.name}",
        "style": Html(style),
        "day": source.trading_day,
        "log": source.name,
        "account": account,
        "basis": basis_words(content),
        "strip": tables.strip(content, source.verified),
        "figures": tables.figures(content),
        "positions": tables.positions(content),
        "positions_note": "at the end of the day",
        "orders": tables.orders(content),
        "orders_note": shown,
        "pnl": tables.pnl(content),
        "footer": f"Events {source.first_seq:,} to {source.last_seq:,} of {source.name}. Times are UTC.",
        "data": _joined(_block(name, text) for name, text in blocks.items()),
        "scripts": _joined(Html(f"<script>{each}</script>") for each in scripts),
        "chunks": _joined(_block(name, text) for name, text in more.items()),
    }
    template = files("oms_es.report").joinpath("page.html").read_text(encoding="utf-8")
    return Template(template).substitute({name: html(value) for name, value in parts.items()})


def basis_words(content: DayContent) -> str:
    """Return the basis line of `oms positions`."""
    count = len(content.positions)
    positions = f"{count:,} position{'' if count == 1 else 's'}"
    return f"{positions} {content.basis.words()}, {content.basis.method.value.upper()}"


def _asset(name: str) -> str:
    return files("oms_es.report").joinpath(*name.split("/")).read_text(encoding="utf-8")


def _policy(style: str, scripts: Iterable[str], *, live: bool) -> str:
    """Return the Content-Security-Policy: only these scripts and this style, and no request but to the own server."""
    rules = {
        "default-src": "'none'",
        "script-src": " ".join(map(_hash, scripts)),
        "style-src": _hash(style),
        "base-uri": "'none'",
        "form-action": "'none'",
        **({"connect-src": "'self'"} if live else {}),
    }
    return "; ".join(f"{name} {value}" for name, value in rules.items())


def _hash(text: str) -> str:
    return f"'sha256-{b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


def _block(name: str, text: str) -> Html:
    return Html(f'<script type="application/json" id="{name}">{text}</script>')


def _joined(parts: Iterable[Html]) -> Html:
    return Html("\n".join(parts))


# --- data ---


def _blocks(content: DayContent) -> tuple[dict[str, str], dict[str, str]]:
    """Return the data for the first glance, and the data that is parsed when it is opened."""
    basis, quarantined = content.basis.rows(), len(content.quarantine)
    head = {"basis": {**basis, "quarantined": quarantined}}
    now = {
        "positions": inert_text(lists_json(head, {"positions": content.positions})),
        "pnl": inert_text(lists_json(head, {"days": content.days})),
    }
    more: dict[str, str] = {}
    index: dict[str, list[int]] = {}
    for clock, track in content.tracks.items():
        if len(track.rows) > MOST_DRAWN:
            drawn = reduced(track.rows, content.source.first_seq, content.source.last_seq)
            more[f"chart-{clock}"] = inert(packed(drawn))
        for name, rows in ((f"track-{clock}", track.rows), (f"sums-{clock}", track.sums)):
            parts = chunked(rows, CHUNK)
            index[name] = [rows[n * CHUNK]["seq"] for n in range(len(parts))]
            more |= {f"{name}-{n}": inert(packed(part)) for n, part in enumerate(parts)}
    for name, rows in (("events", content.events), ("orders", content.orders), ("fills", content.fills)):
        found = chunks(rows)
        index[name] = [rows[n * CHUNK].get("seq", n) for n in range(len(found))]
        more |= {f"{name}-{n}": inert(part) for n, part in enumerate(found)}
    for n, why in enumerate(content.why):
        lists = {name: packed(why[name]) for name in ("lots", "matches", "fees_paid")}
        more[f"why-{n}"] = inert({**why, **lists})
    more["verdicts"] = inert(content.verdicts)
    return {"day": inert({**day_of(content), "index": index}), **now}, more


def day_of(content: DayContent) -> Row:
    """Return what the scripts need at first."""
    source, report = content.source, content.report
    books = [{name: row[name] for name in ("account", "symbol", "currency")} for row in content.positions]
    return {
        "log": escaped(source.name),
        "trading_day": source.trading_day,
        "account": source.account,
        "first_seq": source.first_seq,
        "last_seq": source.last_seq,
        "log_seq": source.log_seq,
        "method": content.basis.method.value,
        "chain": source.chain,
        "closed": report.closed,
        "differing": report.differing,
        "checked": content.checked,
        "divergent": content.divergent,
        "books": books,
        "spans": content.spans,
        "ticks": content.ticks,
        "exceptions": content.exceptions,
        "quarantine": content.quarantine,
        "basis": basis_words(content),
        "worst": tables.worst_of(report),
    }
