"""Playing a golden day, and writing its answers as tables."""

import json
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any

from oms_es import OrderManagementSystem, Settings, errors
from oms_es.audit.day_archive import unpack
from oms_es.audit.replay import Replay, end_of_day, replay
from oms_es.decimals import text
from oms_es.log.contract import Log
from oms_es.log.hash_chain import StoredRow
from oms_es.log.sqlite import SqliteLog
from oms_es.projections.projection import plain
from oms_es.projections.rows import digest_row
from oms_es.queries.queries import AsOf, Queries, fill_rows, order_rows
from oms_es.timestamps import instant, iso
from oms_es.vocabulary import CostMethod

DAYS = Path(__file__).resolve().parent.parent / "replay_fixtures"
SPANS = {  # the trading days of each
    "ordinary_day": ("2024-03-04",),
    "awkward_day": ("2024-03-05",),
    "three_days": ("2024-03-06", "2024-03-07", "2024-03-08"),
}
DATES = {day: span[-1] for day, span in SPANS.items()}
BOXES = [(day, trading_day) for day, span in SPANS.items() for trading_day in span]
FLAGS = {"true": True, "false": False}


# What another process runs to replay boxes: the report of each on a line.
REPLAYING = """
import json, sys
from pathlib import Path
from oms_es.audit.day_archive import unpack
from oms_es.projections.projection import plain
from oms_es.audit.replay import replay
for path in sys.argv[1:]:
    box = unpack(Path(path))
    seen = replay(box.events, box.opening, day=box.manifest.trading_day, check=True)
    print(json.dumps(plain(seen.rows())))
"""


class Script:
    """The calls of a day, and the moments to be asked about."""

    def __init__(self, day: str) -> None:
        self.calls: list[tuple[int, str, dict[str, str | bool | None], str | None]] = []
        self.moments: list[dict[str, str]] = []
        for line in (DAYS / day / "day.txt").read_text(encoding="utf-8").splitlines():
            words, _, error = line.partition(" -> ")
            if line.strip() and not line.startswith("#"):
                begin, *rest = words.split()
                if begin == "moment":
                    self.moments.append(dict(word.split("=", 1) for word in rest))
                    continue
                values = {name: FLAGS.get(value, value or None) for name, value in (w.split("=", 1) for w in rest[1:])}
                moment = begin if "T" in begin else f"{DATES[day]}T{begin}"
                self.calls.append((instant(f"{moment}Z"), rest[0], values, error.strip() or None))


async def play(day: str, log: Log | Path) -> None:
    """Ask the system what the day's script asks, at the script's own times."""
    now = 0
    oms = OrderManagementSystem(Settings.default(), log=log, clock=lambda: now)
    for moment, call, values, error in Script(day).calls:
        now = moment
        raised = None
        try:
            await getattr(oms, call)(**values)
        except errors.OmsError as refusal:
            raised = type(refusal).__name__
        assert raised == error, f"{iso(moment)} {call} {values}"
    await oms.sequencer.idle()


def restore(day: str, path: Path, release: str = "") -> SqliteLog:
    """Put the day's log, as the first release (or the one of "rules_2") dumped it, into a file."""
    connection = sqlite3.connect(path)
    connection.executescript((DAYS / day / release / "log.sql").read_text(encoding="utf-8"))
    connection.close()
    return SqliteLog.existing(path)


def boxed(day: str, trading_day: str) -> Path:
    """Return where the box of a trading day is, as an early release packed it."""
    return DAYS / day / f"{trading_day}.omsday"


def from_box(path: Path) -> str:
    """Return the report of a replay, with every command decided again, of a day in a box."""
    box = unpack(path)
    return _report(replay(box.events, box.opening, day=box.manifest.trading_day, check=True))


def from_log(log: Log, trading_day: str) -> str:
    """Return the same report of a day in a log."""
    return _report(replay(log.read(until=end_of_day(log, trading_day)), day=trading_day, check=True))


def _report(seen: Replay) -> str:
    return json.dumps(plain(seen.rows()))


def digests(day: str) -> str:
    """Return what the boxes of a golden day come to, a line each."""
    reports = [json.loads(from_box(boxed(day, trading_day))) for trading_day in SPANS[day]]
    return table(
        {
            "trading_day": report["days"][0]["trading_day"], "events": report["days"][0]["events"],
            "decided again": report["check"]["commands"], "divergent": report["check"]["divergent"],
            "closed": report["days"][0]["closed"], "digest": report["digest"],
        }
        for report in reports
    )  # fmt: skip


def answers(day: str, log: Log, rows: Iterable[StoredRow]) -> dict[str, str]:
    """Return the day's tables by file name."""
    queries = Queries(log)
    end = queries.basis(AsOf())
    orders = queries.orders(end)
    return {
        "events.txt": table(_event(row) for row in rows), "orders.txt": table(map(digest_row, order_rows(orders))),
        "fills.txt": table(map(_early_columns, fill_rows(orders))),
        "positions.txt": table(_positions(queries, AsOf())), "quarantine.txt": table(_waiting(orders.all_waiting())),
        "moments.txt": "\n".join(_moments(queries, Script(day).moments)),
    }  # fmt: skip


def _early_columns(fill: dict[str, Any]) -> dict[str, Any]:
    """Return the row of a fill without the columns of later releases, where they say nothing new."""
    is_plain = fill["fee_currency"] == fill["currency"] and not fill["inferred"] and fill["liquidity"] is None
    later = ("fee_currency", "inferred", "liquidity", "tags") if is_plain and fill["tags"] is None else ()
    return {name: value for name, value in fill.items() if name not in later}


def _event(row: StoredRow) -> dict[str, Any]:
    times = {"occurred_at": iso(row.occurred_at)[11:], "effective_at": iso(row.effective_at)[11:]}
    begins = "" if row.command_id is None else "*"
    return {"seq": row.seq, "": begins, **times, "origin": row.origin, "stream": row.originator_id,
            "version": row.originator_version, "topic": row.topic, "state": row.state.decode()}  # fmt: skip


def _positions(queries: Queries, when: AsOf) -> Iterator[dict[str, Any]]:
    for method in CostMethod:
        for row in queries.positions(queries.basis(when, method)).rows():
            times = {name: None if row[name] is None else iso(row[name]) for name in ("mark_at", "updated_at")}
            yield {"method": method.value, **digest_row(row), **times}


def _waiting(waiting: Sequence[Any]) -> Iterator[dict[str, Any]]:
    for each in waiting:
        fill = each.fill
        yield {"seq": each.seq, "id": fill.quarantine_id, "order_id": fill.order_id, "why": fill.why.value,
               "symbol": fill.symbol, "side": fill.side and fill.side.value, "quantity": fill.fill_quantity,
               "price": fill.fill_price, "trade_id": fill.trade_id}  # fmt: skip


def _moments(queries: Queries, moments: Sequence[dict[str, str]]) -> Iterator[str]:
    for moment in moments:
        when = AsOf(
            as_of=instant(moment["as_of"]) if "as_of" in moment else None,
            known_at=instant(moment["known_at"]) if "known_at" in moment else None,
            at_seq=int(moment["at_seq"]) if "at_seq" in moment else None,
        )
        states = [f"{order.order_id} {order.state.value} {text(order.filled_quantity)}/{text(order.quantity)}"
                  for order in queries.orders(queries.basis(when)).sorted()]  # fmt: skip
        yield f"== {' '.join(f'{name}={value}' for name, value in moment.items())}\n"
        yield f"{', '.join(states)}\n"
        yield table(_positions(queries, when))


def table(rows: Iterable[dict[str, Any]]) -> str:
    """Return rows as a text table with aligned columns; an empty one says so."""
    listed = [{name: _cell(value) for name, value in row.items()} for row in rows]
    if not listed:
        return "(nothing)\n"
    widths = {name: max(len(name), *(len(row[name]) for row in listed)) for name in listed[0]}
    lines = [{name: name for name in widths}, *listed]
    return "".join(
        "  ".join(line[name].ljust(width) for name, width in widths.items()).rstrip() + "\n" for line in lines
    )


def _cell(value: object) -> str:
    if value is None:
        return "-"
    if isinstance(value, Decimal):
        return text(value)
    if isinstance(value, list):
        return "; ".join(map(str, value)) or "-"
    return str(value).lower() if isinstance(value, bool) else str(value)
