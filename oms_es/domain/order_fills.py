"""The fills of an order: booked, merged from another order, and in quarantine; and the content of their reports."""

from decimal import Decimal

from msgspec import Struct

from oms_es.decimals import ONE, ZERO
from oms_es.domain.contents import Content
from oms_es.domain.events import FillAdded, FillCorrected, FillQuarantined, MergedFill
from oms_es.vocabulary import OrderSide, QuarantineReason


class Fill(Struct, frozen=True, kw_only=True):
    """One execution, with all corrections so far."""

    quantity: Decimal
    price: Decimal
    fee: Decimal
    trade_id: str | None
    occurred_at: int  # ns UTC, at the venue
    seq: int  # of the event that added it
    multiplier: Decimal = ONE
    currency: str = "USD"
    late: bool = False
    forced: bool = False
    busted: bool = False
    corrected: bool = False
    booked_as: str | None = None  # the order id of its event, if that order was merged into this one
    inferred: bool = False  # from a cumulative quantity; its executions replace it
    trade_ids: tuple[str, ...] = ()  # its ids before corrections renamed it; the first was booked
    fee_currency: str = ""  # "": that of the instrument
    fee_in_base: bool = False
    liquidity: str | None = None

    @property
    def booked_trade_id(self) -> str | None:
        """Return the trade id that it was booked under: the one in its events."""
        return self.trade_ids[0] if self.trade_ids else self.trade_id

    @property
    def own_fee(self) -> Decimal:
        """Return the fee if it is in the instrument's currency, else 0."""
        return self.fee if not self.fee_currency or self.fee_currency == self.currency else ZERO


class QuarantinedFill(Struct, frozen=True, kw_only=True):
    """A fill in quarantine, with its times."""

    fill: FillQuarantined
    occurred_at: int
    recorded_at: int
    seq: int


ZERO_FILL = Fill(quantity=ZERO, price=ZERO, fee=ZERO, trade_id=None, occurred_at=0, seq=0)


def fill_of(merged: MergedFill) -> Fill:
    """Return a part of `OrdersMerged` as a fill."""
    return Fill(
        quantity=merged.fill_quantity,
        price=merged.fill_price,
        fee=merged.fee,
        trade_id=merged.trade_id,
        occurred_at=merged.occurred_at,
        seq=merged.seq,
        multiplier=merged.multiplier,
        currency=merged.currency,
        late=merged.late,
        forced=merged.forced,
        busted=merged.busted,
        corrected=merged.corrected,
        booked_as=merged.booked_as,
        inferred=merged.inferred,
        trade_ids=merged.trade_ids,
        fee_currency=merged.fee_currency,
        fee_in_base=merged.fee_in_base,
        liquidity=merged.liquidity,
    )


def merged_fill(fill: Fill, order_id: str) -> MergedFill:
    """Return a fill of the order `order_id` as a part of `OrdersMerged`."""
    return MergedFill(
        seq=fill.seq,
        booked_as=fill.booked_as or order_id,
        fill_quantity=fill.quantity,
        fill_price=fill.price,
        occurred_at=fill.occurred_at,
        trade_id=fill.trade_id,
        fee=fill.fee,
        multiplier=fill.multiplier,
        currency=fill.currency,
        late=fill.late,
        forced=fill.forced,
        busted=fill.busted,
        corrected=fill.corrected,
        inferred=fill.inferred,
        trade_ids=fill.trade_ids,
        fee_currency=fill.fee_currency,
        fee_in_base=fill.fee_in_base,
        liquidity=fill.liquidity,
    )


def content_of(fill: Fill, symbol: str, side: OrderSide) -> Content | None:
    """Return the content of a booked fill; None without a trade id."""
    if fill.trade_id is None:
        return None
    return Content(fill.trade_id, fill.quantity, fill.price, fill.fee, symbol, side.value)


def any_content(trade_id: str) -> Content:
    """Return the content of a trade that is known only by its id, from its correction: any report repeats it."""
    return Content(trade_id, ZERO, ZERO, ZERO)


def content(event: FillAdded | FillCorrected | FillQuarantined) -> Content | None:
    """Return the content by which a repetition of this trade is recognised; None without a trade id."""
    if event.trade_id is None or (type(event) is FillQuarantined and event.why is QuarantineReason.UNKNOWN_FILL):
        return None
    side = "" if event.side is None else "buy" if event.side is OrderSide.BUY else "sell"  # faster than `.value`
    figures = (event.fill_quantity, event.fill_price, event.fee)
    return Content(event.trade_id, *figures, event.symbol or "", side)
