"""Orders after their events, their open quantities, and the fills in quarantine."""

import hashlib
from collections.abc import Callable, Iterator, Sequence
from decimal import Decimal
from heapq import merge
from typing import Any

from msgspec import Struct
from msgspec.structs import replace

from oms_es.decimals import ZERO, added, minus, negate, plus
from oms_es.domain.contents import Content
from oms_es.domain.envelope import Recorded
from oms_es.domain.events import (
    AmendRefused,
    CancelRejected,
    CancelRequested,
    ExternalIdAssigned,
    FillAdded,
    FillBusted,
    FillCorrected,
    FillQuarantined,
    OrderAmended,
    OrderEvent,
    OrdersMerged,
    OrderSubmitted,
    QuarantineResolved,
    ReplaceRejected,
    ReplaceRequested,
    StateChanged,
)
from oms_es.domain.order import Order, evolve, find_fill
from oms_es.domain.order_fills import QuarantinedFill, content
from oms_es.errors import AmbiguousOrder
from oms_es.identifiers import shown
from oms_es.projections.projection import Projection, canonical_json, on
from oms_es.projections.rows import digest_row, order_row
from oms_es.projections.undo import UndoDict, UndoLog
from oms_es.vocabulary import OrderSide

Key = tuple[str, str]  # account, order id (or symbol)

_SLICE = 4096  # orders that are sorted at once


class UnknownOrderFills(Struct, frozen=True):
    """Fills of an order id that nobody submitted."""

    contents: frozenset[Content] = frozenset()
    waiting: tuple[QuarantinedFill, ...] = ()


class OpenQuantities(Struct, frozen=True):
    """Quantities that may still be bought and sold; base units, both 0 or more."""

    buys: Decimal = ZERO
    sells: Decimal = ZERO

    def changed(self, side: OrderSide, by: Decimal) -> "OpenQuantities":
        """Return the sums with one of them changed."""
        if side is OrderSide.BUY:
            return OpenQuantities(added(self.buys, by), self.sells)
        return OpenQuantities(self.buys, added(self.sells, by))


class Orders(Projection):
    """Every order, by order id and by venue id; sums of open quantities and of fills in quarantine."""

    def __init__(self, undo: UndoLog | None = None) -> None:
        super().__init__(undo)
        undo = self.undo
        self.orders: UndoDict[Key, Order] = UndoDict(undo)
        self.accounts: UndoDict[str, tuple[str, ...]] = UndoDict(undo)  # order id → accounts that have it
        self.external: UndoDict[str, tuple[Key, ...]] = UndoDict(undo)  # the venue's id → orders
        self.open: UndoDict[Key, bool] = UndoDict(undo)  # the open orders; it follows from `orders`
        self.open_count: UndoDict[str, int] = UndoDict(undo)  # by account
        self.open_sides: UndoDict[Key, OpenQuantities] = UndoDict(undo)  # by account and symbol
        self.waiting_sides: UndoDict[Key, OpenQuantities] = UndoDict(undo)  # by account and symbol
        self.waiting: UndoDict[str, Key | tuple[()]] = UndoDict(undo)  # quarantine id → order; () once it is resolved
        self.unknown: UndoDict[Key, UnknownOrderFills] = UndoDict(undo)
        self.unknown_count: UndoDict[str, int] = UndoDict(undo)
        self.groups: UndoDict[Key, tuple[Key, ...]] = UndoDict(undo)  # account and OCO group → its orders
        self.merged: UndoDict[Key, Key] = UndoDict(undo)  # an external order → the order of ours that it is
        self.waiting_day: UndoDict[str, str] = UndoDict(undo)  # quarantine id → trading day that the fill was booked on
        self.reload: Callable[[Key], Order | None] | None = None  # loads an order that has left memory from the log
        self.retired = 0
        self._rendered: dict[Key, tuple[Order, bytes]] = {}  # rows in canonical JSON, for digests

    @on(OrderSubmitted)
    def _submitted(self, event: OrderSubmitted, at: Recorded) -> None:
        self.accounts[event.order_id] = (*(self.accounts.get(event.order_id) or ()), event.account)
        self._evolve(event, at)

    @on(StateChanged)
    def _state_changed(self, event: StateChanged, at: Recorded) -> None:
        if event.external_order_id is not None:
            self._name(event.external_order_id, (event.account, event.order_id))
        self._evolve(event, at)

    @on(ExternalIdAssigned)
    def _id_assigned(self, event: ExternalIdAssigned, at: Recorded) -> None:
        self._name(event.external_order_id, (event.account, event.order_id))
        self._evolve(event, at)

    @on(OrdersMerged)
    def _merge(self, event: OrdersMerged, at: Recorded) -> None:
        key = (event.account, event.order_id)
        if event.into is not None:
            self.merged[key] = (event.account, event.into)
            for name in () if (order := self.order(key)) is None else order.external_order_ids:
                self.external[name] = tuple(each for each in self.external.get(name) or () if each != key)
        for name in event.external_order_ids:
            self._name(name, key)
        self._evolve(event, at)

    def _name(self, external_order_id: str, key: Key) -> None:
        known = self.external.get(external_order_id) or ()
        if key not in known:
            self.external[external_order_id] = (*known, key)

    @on(FillAdded)
    def _filled(self, event: FillAdded, at: Recorded) -> None:
        if event.quarantine_id is not None:  # as of a moment, before it was decided
            if reported_under := self.waiting.get(event.quarantine_id):
                self._no_longer_unknown(reported_under, event.quarantine_id)
            self.waiting[event.quarantine_id] = ()
        self._evolve(event, at)

    @on(FillBusted, FillCorrected)
    def _restated(self, event: FillBusted | FillCorrected, at: Recorded) -> None:
        key = (event.account, event.order_id)
        self._evolve(event, at, key if event.booked_as is None else self._holder(event, key))

    @on(AmendRefused, CancelRequested, CancelRejected, ReplaceRejected)
    def _changed(self, event: OrderEvent, at: Recorded) -> None:
        self._evolve(event, at)

    @on(OrderAmended, ReplaceRequested)
    def _amended(self, event: OrderAmended | ReplaceRequested, at: Recorded) -> None:
        for name in (event.new_order_id, getattr(event, "external_order_id", None)):
            if name is not None:
                self._name(name, (event.account, event.order_id))
        self._evolve(event, at)

    def _evolve(
        self, event: OrderEvent | FillQuarantined | QuarantineResolved, at: Recorded, key: Key | None = None
    ) -> None:
        key = key or (event.account, event.order_id)
        old = self.orders.get(key) or self.order(key)
        new = evolve(old, event, at.occurred_at, at.recorded_at, at.seq)
        self.orders[key] = new
        was_open, before = (False, ZERO) if old is None else (old.is_open, old.exposed_quantity)
        after = new.exposed_quantity
        if after is not before and (change := minus(after, before)):
            if new.submitted.oco_group is not None:
                change = self._group_change(new, key, before, after)
            self._add_open(new, change)
        if new.waiting or (old is not None and old.waiting):
            for symbol, side, more in _waiting_change(old, new):
                self._wait(new.account, symbol, side, more)
        if was_open is not new.is_open:
            account = event.account
            if was_open:
                self.open.drop(key)
            else:
                self.open[key] = True
            self.open_count[account] = (self.open_count.get(account) or 0) + (-1 if was_open else 1)

    def _group_change(self, order: Order, key: Key, before: Decimal, after: Decimal) -> Decimal:
        """Return the change of the open quantity of an OCO group, which counts once, by its largest order."""
        group = (order.account, order.submitted.oco_group or "")
        members = self.groups.get(group) or ()
        if key not in members:
            self.groups[group] = (*members, key)
        others = self._largest_of(group, order.symbol, order.side, without=key)
        return minus(max(others, after), max(others, before))

    def _largest_of(self, group: Key, symbol: str, side: OrderSide, without: Key | None = None) -> Decimal:
        members = (self.orders.get(key) for key in self.groups.get(group) or () if key != without)
        fitting = (each for each in members if each is not None and (each.symbol, each.side) == (symbol, side))
        return max((each.exposed_quantity for each in fitting), default=ZERO)

    def group_open(self, account: str, symbol: str, group: str, side: OrderSide) -> Decimal:
        """Return the open quantity of an OCO group in a symbol and on a side; base units."""
        return self._largest_of((account, group), symbol, side)

    def _holder(self, event: FillBusted | FillCorrected, key: Key) -> Key:
        """Return the order that has the restated fill: as of a moment before a merge, still the external one."""
        order, other = self.order(key), self.current_key((event.account, event.booked_as or ""))
        fills = () if order is None else order.fills
        if any((fill.booked_as, fill.trade_id) == (event.booked_as, event.trade_id) for fill in fills):
            return key
        return key if self.order(other) is None else other

    def _add_open(self, order: Order, change: Decimal) -> None:
        key = (order.account, order.symbol)
        self.open_sides[key] = (self.open_sides.get(key) or OpenQuantities()).changed(order.side, change)

    @on(FillQuarantined)
    def _quarantined(self, event: FillQuarantined, at: Recorded) -> None:
        key = (event.account, event.order_id)
        self.waiting[event.quarantine_id] = key
        self.waiting_day[event.quarantine_id] = at.trading_day
        if event.order_known:
            self._evolve(event, at)
            return
        was = self.unknown.get(key) or UnknownOrderFills()
        waiting = QuarantinedFill(fill=event, occurred_at=at.occurred_at, recorded_at=at.recorded_at, seq=at.seq)
        self.unknown[key] = UnknownOrderFills(was.contents | {*filter(None, [content(event)])}, (*was.waiting, waiting))
        self.unknown_count[event.account] = (self.unknown_count.get(event.account) or 0) + 1
        self._wait(event.account, event.symbol, event.side, event.fill_quantity)

    @on(QuarantineResolved)
    def _resolved(self, event: QuarantineResolved, at: Recorded) -> None:
        if event.order_known:
            self._evolve(event, at)
        else:
            self._no_longer_unknown((event.account, event.order_id), event.quarantine_id)
        self.waiting[event.quarantine_id] = ()

    def _no_longer_unknown(self, key: Key, quarantine_id: str) -> None:
        was = self.unknown.get(key)
        for each in () if was is None else was.waiting:
            if was is not None and each.fill.quarantine_id == quarantine_id:
                left = tuple(other for other in was.waiting if other is not each)
                self.unknown[key] = replace(was, waiting=left)
                self._wait(key[0], each.fill.symbol, each.fill.side, negate(each.fill.fill_quantity))

    def _wait(self, account: str, symbol: str | None, side: OrderSide | None, more: Decimal) -> None:
        if symbol is not None and side is not None and more:
            key = (account, symbol)
            self.waiting_sides[key] = (self.waiting_sides.get(key) or OpenQuantities()).changed(side, more)

    # --- memory ---

    def order(self, key: Key) -> Order | None:
        """Return an order; one that has left memory is loaded from the log."""
        found = self.orders.get(key)
        if found is None and self.retired and self.reload is not None and key[0] in (self.accounts.get(key[1]) or ()):
            found = self.reload(key)
            if found is not None:
                self.orders.load(key, found)
        return found

    def retire(self, before: int) -> int:
        """Drop completed orders from memory whose last event was recorded before this (ns UTC); return how many."""
        done = [
            key
            for key, order in self.orders.items()
            if order.recorded_at < before and (order.state.is_terminal or order.is_external) and not order.waiting
        ]
        for key in done:
            del self.orders[key]
        self.retired += len(done)
        return len(done)

    # --- answers ---

    def find(self, order_id: str, account: str | None) -> Key | None:
        """
        Return which order an id names: by order id first, then by the venue's id; None when there is none.

        Raises:
            AmbiguousOrder: several orders, in several accounts or under one venue id.
        """
        keys = self._own(order_id, account) or self._external(order_id, account)
        if len(keys) > 1:
            raise self.ambiguous(order_id, keys)
        return keys[0] if keys else None

    def named(self, order_id: str, account: str | None) -> list[Key]:
        """Return the orders that the id of a fill can mean, external orders under a venue id included."""
        accounts = self.accounts.get(order_id)
        if accounts is not None and len(accounts) == 1 and account in (None, accounts[0]):
            key = (accounts[0], order_id)
            if order_id not in self.external and key not in self.merged:
                return [key]
        own, others = self._own(order_id, account), self._external(order_id, account)
        if not own or not others:
            return own or others
        found = [self.order(key) for key in own]
        if any(each is not None and not each.is_external for each in found):
            return own
        return list(dict.fromkeys((*own, *others)))

    def current_key(self, key: Key) -> Key:
        """Return the order that an external order was merged into, in the end; the key itself where it was not."""
        while (into := self.merged.get(key)) is not None:
            key = into
        return key

    @staticmethod
    def ambiguous(order_id: str, keys: Sequence[Key]) -> AmbiguousOrder:
        """Return the error of an id that names several orders."""
        where = ", ".join(sorted(f"{key[1]} in {key[0]}" for key in keys))
        return AmbiguousOrder(f"{shown(order_id)} names several orders ({where}); give account= or the order id")

    def _own(self, order_id: str, account: str | None) -> list[Key]:
        accounts = self.accounts.get(order_id) or ()
        return [
            (each, order_id) for each in accounts if account in (None, each) and not self.merged.get((each, order_id))
        ]

    def _external(self, order_id: str, account: str | None) -> list[Key]:
        return [key for key in self.external.get(order_id) or () if account in (None, key[0])]

    def waiting_of(self, key: Key) -> tuple[QuarantinedFill, ...]:
        """Return the fills of an order (or of an unknown order id) that wait."""
        order, unknown = self.order(key), self.unknown.get(key)
        return (*(order.waiting if order else ()), *(unknown.waiting if unknown else ()))

    def all_waiting(self) -> list[QuarantinedFill]:
        """Return everything in quarantine, oldest first."""
        keys = {key for key in self.waiting.values() if len(key) == 2}
        return sorted((each for key in keys for each in self.waiting_of(key)), key=lambda each: each.seq)

    def exposed(self, account: str, symbol: str) -> OpenQuantities:
        """Return what open orders and waiting fills may still buy and sell."""
        key = (account, symbol)
        working, waiting = self.open_sides.get(key) or OpenQuantities(), self.waiting_sides.get(key) or OpenQuantities()
        return OpenQuantities(plus(working.buys, waiting.buys), plus(working.sells, waiting.sells))

    def find_open(self) -> None:
        """Work out which orders are open; needed after the tables were filled from stored ones."""
        for key, order in self.orders.items():
            if order.is_open:
                self.open[key] = True

    def sorted_open(self) -> list[Order]:
        """Return the open orders, by account and order id."""
        return [self.orders[key] for key in sorted(self.open)]

    def sorted(self) -> list[Order]:
        """Return every order, by account and order id."""
        return [order for key, order in sorted(self.orders.items()) if key not in self.merged]

    def in_slices(self) -> Iterator[Order]:
        """Yield the orders as `sorted`; they are sorted in slices, so that other threads run meanwhile."""
        keys = [key for key in self.orders if key not in self.merged]
        runs = [sorted(keys[start : start + _SLICE]) for start in range(0, len(keys), _SLICE)]
        return (self.orders[key] for key in merge(*runs))

    def unsorted(self) -> Iterator[Order]:
        """Yield every order, in no order of use."""
        return (order for key, order in self.orders.items() if key not in self.merged)

    def rows(self) -> list[dict[str, Any]]:
        """Return every order as a plain row."""
        return [digest_row(order_row(order)) for order in self.sorted()] + self._waiting_rows()

    def _waiting_rows(self) -> list[dict[str, Any]]:
        return [
            {"waiting": each.fill.quarantine_id, "account": each.fill.account, "order_id": each.fill.order_id}
            for each in self.all_waiting()
        ]

    def digest(self) -> str:
        """Return the digest of the rows; the row of an order that has not changed since is reused."""
        kept, parts = self._rendered, []
        for order in self.sorted():
            key = (order.account, order.order_id)
            found = kept.get(key)
            if found is None or found[0] is not order:
                found = kept[key] = (order, canonical_json(digest_row(order_row(order))))
            parts.append(found[1])
        parts += map(canonical_json, self._waiting_rows())
        return hashlib.sha256(b"[" + b",".join(parts) + b"]").hexdigest()


def _waiting_change(old: Order | None, new: Order) -> list[tuple[str, OrderSide, Decimal]]:
    """Return how an event changes the quantities of an order's fills in quarantine, by symbol and side."""
    before, after = {} if old is None else _waiting_of(old), _waiting_of(new)
    keys = {**before, **after}
    return [(*key, minus(after.get(key, ZERO), before.get(key, ZERO))) for key in keys]


def _waiting_of(order: Order) -> dict[tuple[str, OrderSide], Decimal]:
    """
    Return the quantities of an order's fills in quarantine beyond its open quantity, which is counted already.

    A correction counts with the quantity that it adds to its fill; a fill reported with another symbol or side counts
    under these.
    """
    own, found = ZERO, dict[tuple[str, OrderSide], Decimal]()
    for each in order.waiting:
        fill = each.fill
        key = (fill.symbol or order.symbol, fill.side or order.side)
        if fill.correction:
            standing = find_fill(order, fill.trade_id or "")
            own = plus(own, max(ZERO, minus(fill.fill_quantity, standing.quantity if standing else ZERO)))
        elif key == (order.symbol, order.side):
            own = plus(own, fill.fill_quantity)
        else:
            found[key] = plus(found.get(key, ZERO), fill.fill_quantity)
    beyond = max(ZERO, minus(own, order.exposed_quantity))
    return {**found, (order.symbol, order.side): beyond} if beyond else found
