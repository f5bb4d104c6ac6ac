"""Reports of one history, shuffled and repeated, always end in the same order and position (VENUES of the design)."""

from collections.abc import Callable
from decimal import Decimal
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from oms_es.decimals import ZERO, canonical, divide, minus, plus, times
from oms_es.domain.commands import ApplyReport, Request, RequestReplace
from oms_es.domain.reports import FillReport, OrderReport, Report, checked_report
from oms_es.timestamps import SECOND
from tests.builders import NOON, ORDER, Desk, num, submit
from tests.engine.test_venue_reports import check_log

AT = NOON - 3600 * SECOND  # the venue's clock at the beginning


class Venue:
    """A venue with one order of 100: what happens, what it reports of it, and how it ends."""

    def __init__(self, draw: Callable[..., int]) -> None:
        self.reports: list[Report] = []
        self.requested: list[str] = []  # client ids of the replaces that we asked for
        self.trades: dict[str, tuple[Decimal, Decimal]] = {}  # quantity and price by trade id, as last corrected
        self.now, self.ext, self.client = AT, "V1", ORDER
        self.state = "working"
        self.total = num("100")
        self.is_busted = False  # a bust that comes late leaves no room for fills of later replaces: they wait
        self._order("working")
        for number in range(draw(5) + 1):
            if self.state == "working":
                self._execute(f"t{number}", draw)
            if self.trades and self.state == "working" and draw(3) == 0:
                self._restate(draw)
            if self.state == "working" and draw(6) == 0 and not self.is_busted:
                self._replace(number)
        if self.state == "working" and draw(2):
            self.state = "cancelled"
            self._order("cancelled")

    @property
    def filled(self) -> Decimal:
        quantity = ZERO
        for each, _ in self.trades.values():
            quantity = plus(quantity, each)
        return canonical(quantity)

    def _order(self, status: str, original: str | None = None) -> None:
        self.now += SECOND
        cost = ZERO
        for quantity, price in self.trades.values():
            cost = plus(cost, times(quantity, price))
        filled = self.filled
        self.reports.append(
            OrderReport(
                status=status, external_order_id=self.ext, order_id=self.client, original_order_id=original,
                symbol="AAA", side="buy", quantity=self.total, filled_quantity=filled,
                avg_fill_price=divide(cost, filled) if filled else None, occurred_at=self.now,
            )
        )  # fmt: skip

    def _execute(self, name: str, draw: Callable[..., int]) -> None:
        self.now += SECOND
        left = minus(self.total, self.filled)
        quantity = min(left, num(str(10 * (1 + draw(4)))))
        price = num(str(9 + draw(2)))
        self.trades[name] = (quantity, price)
        ids: dict[str, Any] = [
            {"external_order_id": self.ext},
            {"order_id": self.client, "external_order_id": self.ext},
        ][draw(1)]
        instrument: dict[str, Any] = {"symbol": "AAA", "side": "buy"} if draw(1) else {}
        self.reports.append(
            FillReport(**ids, **instrument, trade_id=name, quantity=quantity, price=price, occurred_at=self.now)
        )
        if self.filled == self.total:
            self.state = "filled"
        if draw(1) or self.state == "filled":
            self._order(self.state)

    def _restate(self, draw: Callable[..., int]) -> None:
        self.now += SECOND
        names = [name for name in sorted(self.trades) if not name.endswith("c")]  # each is restated once
        if not names:
            return
        name = names[draw(len(names) - 1)]
        quantity, price = self.trades.pop(name)
        common: dict[str, Any] = {
            "external_order_id": self.ext,
            "order_id": self.client,
            "trade_ref_id": name,
            "occurred_at": self.now,
        }
        if draw(1) and not self.requested:
            self.is_busted = True
            self.reports.append(FillReport(kind="bust", trade_id=f"{name}b", **common))
        else:
            self.trades[f"{name}c"] = (quantity, plus(price, num("1")))
            self.reports.append(
                FillReport(
                    kind="correct", trade_id=f"{name}c", quantity=quantity, price=plus(price, num("1")), **common
                )
            )
        self._order(self.state)

    def _replace(self, number: int) -> None:
        original, self.client, self.ext = self.client, f"o-1-{number}", f"V1-{number}"
        self.requested.append(self.client)
        self._order("replaced", original)


@settings(max_examples=25, deadline=None, derandomize=True)
@given(st.data())
def test_reports_in_any_order_and_repeated_end_as_the_venue_does(data: st.DataObject) -> None:
    venue = Venue(lambda most: data.draw(st.integers(0, most)))
    order = data.draw(st.permutations([*venue.reports, *venue.reports[: data.draw(st.integers(0, 3))]]))
    desk = Desk()
    desk.perform(submit())
    for name in venue.requested:
        desk.perform(RequestReplace(order_id=ORDER, price=num("10"), new_order_id=name))
    desk.now += SECOND
    for report in order:
        command = ApplyReport(order_id="", report=checked_report(report))
        desk.append(desk.decide(Request(command=command, any_account=True)))
    found = desk.order()
    trades = {fill.trade_id: (fill.quantity, fill.price) for fill in found.fills if not fill.busted}

    assert trades == venue.trades
    assert (found.state.value, found.filled_quantity) == (venue.state, venue.filled)
    assert desk.state.positions.position("default", "AAA") == venue.filled
    assert desk.state.orders.all_waiting() == []
    assert desk.state.orders.exposed("default", "AAA").buys == found.open_quantity
    for report in order:
        command = ApplyReport(order_id="", report=checked_report(report))
        assert desk.decide(Request(command=command, any_account=True)) == []
    check_log(desk)
