"""The parts of the page that a browser shows without scripts: checks, figures and tables."""

from collections.abc import Callable, Iterable, Sequence
from decimal import Decimal
from typing import Any, NamedTuple

from oms_es.audit.high_water import HighWaterMark
from oms_es.audit.replay import DayReport
from oms_es.decimals import ZERO, canonical, divide, plus, short
from oms_es.report.content import DayContent
from oms_es.report.markup import NO_VALUE, Html, joined, number, sparkline, tag, tone
from oms_es.report.tracks import book_of

Row = dict[str, Any]
SHOWN = 200  # orders in the table of the page; a script shows the others


class Column(NamedTuple):
    """A column of a table: its title, its cell, and whether it holds numbers."""

    title: str
    cell: Callable[[Row], object]
    right: bool = False


def table(
    columns: Sequence[Column], rows: Iterable[Row], empty: str, attributes: Callable[[Row], Row] = lambda _: {}
) -> Html:
    """Return a table; `empty` in its place when there are no rows."""
    drawn = [
        tag("tr", *(_cell(column, row, is_first=not n) for n, column in enumerate(columns)), **attributes(row))
        for row in rows
    ]
    if not drawn:
        return tag("p", empty, class_="empty")
    titles = [tag("th", each.title, scope="col", class_="num" if each.right else None) for each in columns]
    return tag("div", tag("table", tag("thead", tag("tr", *titles)), tag("tbody", *drawn)), class_="scroll")


def _cell(column: Column, row: Row, *, is_first: bool) -> Html:
    value = column.cell(row)
    attributes = {"class_": "num" if column.right else None, "data_label": column.title}
    return tag("th", value, scope="row", **attributes) if is_first else tag("td", value, **attributes)


def opener(content: object, target: str, class_: str = "figure", name: str | None = None) -> Html:
    """Return a button that opens the rows behind a figure."""
    return tag("button", content, type="button", class_=class_, data_open=target, data_name=name)


def gain(value: Decimal | None) -> Html:
    """Return P&L with its sign and the class of its tone."""
    return tag("span", number(value, signed=True), class_=tone(value))


# --- checks ---


def strip(content: DayContent, verified: str | None) -> Html:
    """Return the checks of the day, each with its sign."""
    report, counts = content.report, content.exceptions
    waiting = len(content.quarantine)
    parts = [
        _decisions(content),
        _check("day closed" if report.closed else "day open", "ok" if report.closed else "note", "day"),
        _check(verified or "not verified against a checkpoint", "ok" if verified else "note", "proof"),
        _check(joined(["chain ", tag("code", content.source.chain[:12])]), "plain", "chain"),
        _check(_counted(waiting, "in quarantine"), "bad" if waiting else "ok", "list:quarantined"),
    ]
    if report.differing:
        parts.insert(1, _check("the closed day has other digests now", "bad", "day"))
    names = (("refused", "refused"), ("late", "late"), ("busted", "busted"), ("corrected", "corrected"))
    for kind, word in names:
        count = len(counts[kind])
        parts.append(_check(_counted(count, word), "warn" if count else "plain", f"list:{kind}"))
    return joined(parts)


def _decisions(content: DayContent) -> Html:
    if content.checked is None:
        return _check("decisions not repeated", "note", "decisions")
    same = content.checked - content.divergent
    words = f"{same:,}/{content.checked:,} decisions repeated"
    return _check(words, "bad" if content.divergent else "ok", "decisions")


_SIGNS = {"ok": "✓", "bad": "✕", "warn": "▲", "note": "○", "plain": ""}


def _check(words: object, kind: str, target: str) -> Html:
    sign = tag("i", _SIGNS[kind], aria_hidden="true") if _SIGNS[kind] else ""
    return opener(joined([sign, words]), target, f"check {kind}")


def _counted(count: int, words: str) -> Html:
    return joined([tag("b", f"{count:,}"), " ", words])


# --- figures ---


def figures(content: DayContent) -> Html:
    """Return the four figures of the day, a line per currency."""
    sums = day_sums(content.days)
    before = "; ".join(f"{number(each['gross_realized_pnl'], signed=True)} before" for each in sums)
    return joined([
        _figure("Net P&L", "net", [(each["currency"], gain(each["total_pnl"])) for each in sums], _net_note(sums)),
        _figure("Realized", "realized", [(each["currency"], gain(each["realized_pnl"])) for each in sums],
                f"after fees; {before}"),
        _figure("Fees", "fees", [(each["currency"], number(each["fees"])) for each in sums],
                f"{sum(each['fills'] for each in sums):,} fills"),
        _worst(content),
    ])  # fmt: skip


def day_sums(days: Sequence[Row]) -> list[Row]:
    """Return the P&L of the day per currency; one row of zeros when there is none."""
    names = ("total_pnl", "realized_pnl", "gross_realized_pnl", "fees", "unrealized_change", "fills")
    sums: dict[str, Row] = {}
    for day in days:
        total = sums.setdefault(
            day["currency"], {"currency": day["currency"], **dict.fromkeys(names, ZERO), "fills": 0}
        )
        for name in names:
            total[name] = day[name] + total[name] if name == "fills" else canonical(plus(total[name], day[name]))
    return [sums[name] for name in sorted(sums)] or [{"currency": "USD", **dict.fromkeys(names, ZERO), "fills": 0}]


def _net_note(sums: Sequence[Row]) -> str:
    return "; ".join(f"unrealized {number(each['unrealized_change'], signed=True)}" for each in sums)


def _figure(title: str, name: str, values: Sequence[tuple[str, object]], note: object, extra: object = "") -> Html:
    lines = [
        tag(
            "p", opener(value, "pnl", "big", f"{name}:{currency}"), tag("span", currency, class_="unit"), class_="value"
        )
        for currency, value in values
    ]
    after = tag("span", id="after", class_="note") if name == "net" else ""
    return tag(
        "article",
        tag("h2", title, " ", after),
        *lines,
        extra,
        tag("p", note, class_="note", data_note=name),
        class_="stat",
    )


def _worst(content: DayContent) -> Html:
    """Return the largest daily loss against its limit."""
    worst = worst_of(content.report)
    if worst is None:
        return _figure("Worst loss", "worst", [("USD", number(ZERO))], "no order or fill yet")
    when = opener(f"at event {worst['seq']:,}", f"seq:{worst['seq']}", "link") if worst["seq"] else "no loss"
    bar = tag("progress", max="1", value=worst["used"], aria_label="Use of the loss limit")
    return _figure(
        "Worst loss", "worst", [(worst["currency"], number(worst["most"]))], joined([worst["of"], when]), bar
    )


def worst_of(report: DayReport) -> Row | None:
    """Return the largest daily loss with the limit in force; of several accounts the one nearest to it."""
    marks = report.worst_loss
    if not marks:
        return None
    name = max(marks, key=lambda each: (_used(marks[each]), marks[each].most, each))
    mark, (account, _, currency) = marks[name], name.rpartition("/")
    of = "no limit" if mark.limit is None else f"of {number(mark.limit)}"
    share = f" ({number(short(_used(mark) * 100).quantize(Decimal('0.01')))} %)" if mark.limit else ""
    used = f"{min(Decimal(1), _used(mark)):.4f}"
    words = f"{of}{share}, account {account}, "
    return {"most": mark.most, "currency": currency, "seq": mark.seq, "used": used, "of": words}


def _used(mark: HighWaterMark) -> Decimal:
    return divide(mark.most, mark.limit) if mark.limit else ZERO


# --- tables ---


def positions(content: DayContent) -> Html:
    """Return the positions at the end of the day, with a line of their P&L."""
    lines: dict[tuple[str, ...], list[Any]] = {}
    for row in content.tracks["recorded"].rows:
        lines.setdefault(book_of(row), []).append(row["total_pnl"])
    accounts, currencies = {row["account"] for row in content.positions}, {row["currency"] for row in content.positions}
    books = {book_of(row): n for n, row in enumerate(content.positions)}

    def named(row: Row) -> Html:
        more = [row["account"]] * (len(accounts) > 1) + [row["currency"]] * (len(currencies) > 1)
        small = tag("small", " · ".join(more)) if more else ""
        return tag("button", row["symbol"], small, type="button", class_="pick", data_book=str(books[book_of(row)]))

    def figure(name: str, shown: Callable[[Row], object]) -> Callable[[Row], Html]:
        return lambda row: opener(shown(row), f"position:{books[book_of(row)]}", name=name)

    columns = (
        Column("Symbol", named),
        Column("Quantity", figure("quantity", lambda row: number(row["quantity"])), right=True),
        Column("Average price", figure("avg_price_short", lambda row: _average(row["avg_price"])), right=True),
        Column("P&L", figure("total_pnl", lambda row: gain(_total(row))), right=True),
        Column("Over the day", lambda row: sparkline(lines.get(book_of(row), []))),
    )
    return table(
        columns, content.positions, "No position on this day.", lambda row: {"data_row": str(books[book_of(row)])}
    )


def _average(value: Decimal | None) -> str:
    return NO_VALUE if value is None else number(short(value))


def _total(row: Row) -> Decimal | None:
    unrealized = row["unrealized_pnl"]
    return None if unrealized is None else canonical(plus(row["realized_pnl"], unrealized))


def orders(content: DayContent) -> Html:
    """Return the orders of the day, the first of them when there are many."""
    columns = (
        Column("Order", lambda row: opener(row["order_id"], f"order:{row['account']}/{row['order_id']}", "link")),
        Column("Symbol", lambda row: row["symbol"]),
        Column("Side", lambda row: row["side"]),
        Column("Quantity", lambda row: number(row["quantity"]), right=True),
        Column("Price", lambda row: number(row["price"]), right=True),
        Column("Filled", lambda row: number(row["filled_quantity"]), right=True),
        Column("State", lambda row: tag("span", row["state"], class_=f"state {row['state']}")),
    )
    return table(columns, content.orders[:SHOWN], "No orders on this day.")


def pnl(content: DayContent) -> Html:
    """Return the P&L of the day by account and symbol."""
    columns = (
        Column("Symbol", lambda row: row["symbol"]),
        Column("Account", lambda row: row["account"]),
        Column("Realized", lambda row: gain(row["realized_pnl"]), right=True),
        Column("Before fees", lambda row: gain(row["gross_realized_pnl"]), right=True),
        Column("Fees", lambda row: number(row["fees"]), right=True),
        Column("Unrealized", lambda row: gain(row["unrealized_pnl"]), right=True),
        Column("Change", lambda row: gain(row["unrealized_change"]), right=True),
        Column("Total", lambda row: gain(row["total_pnl"]), right=True),
        Column("Fills", lambda row: number(row["fills"]), right=True),
        Column("In", lambda row: row["currency"]),
    )
    return table(columns, content.days, "No P&L on this day.")
