"""The protocol of a venue's adapter: seven coroutines, a stream, and two errors."""

from collections.abc import AsyncIterator
from decimal import Decimal
from typing import Protocol

from msgspec import Struct

from oms_es.domain.reports import FillReport, OrderReport
from oms_es.errors import OmsError
from oms_es.projections.views import OMSOrder


class Refused(OmsError):
    """
    The venue refused a request; it did nothing.

    Args:
        message: of the venue.
        code: of the venue, if it has codes.
        busy: the request may succeed later (a rate limit).
    """

    def __init__(self, message: str, code: str | int | None = None, *, busy: bool = False) -> None:
        super().__init__(message)
        self.code = code
        self.busy = busy


class Unsure(OmsError):
    """No answer, or none that can be read: the venue may have done it or not."""


class Instrument(Struct, frozen=True, kw_only=True):
    """What a venue requires of orders in a symbol; None: not stated."""

    symbol: str
    base: str = ""  # the asset that is bought and sold
    quote: str = ""  # the asset that is paid
    quantity_step: Decimal | None = None
    price_step: Decimal | None = None
    min_quantity: Decimal | None = None


class Connected(Struct, frozen=True):
    """The stream is connected again: what happened before is not in it."""


class Venue(Protocol):
    """
    The adapter of a venue. A method raises `Refused` or `Unsure`, and nothing else.

    It must not block the event loop, and a call must end in a bounded time: no answer is `Unsure`. It may also have
    `close()`, and `balances()`, which returns what the account holds by asset, for the comparison of positions.
    """

    async def instruments(self) -> list[Instrument]:
        """Return the steps, minimum, base and quote of every symbol."""

    async def prepare(self, order: OMSOrder, /) -> str | None:
        """Return the venue's id of an order that is not live yet; None if the venue uses our order id."""

    async def place(self, order: OMSOrder, /) -> OrderReport:
        """Make the order live. `order.external_order_id` is the id from `prepare`."""

    async def cancel(self, order: OMSOrder, /) -> None:
        """Ask for a cancel; the order is open until a report confirms it."""

    async def order(self, *, external_order_id: str | None = None, order_id: str | None = None) -> OrderReport | None:
        """Return the state of an order with its fills; None if the venue does not know it."""

    async def open_orders(self) -> list[OrderReport]:
        """Return every open order of the account."""

    async def fills(self, since: int, /) -> list[FillReport]:
        """Return every fill from `since` (ns UTC) on, of all pages."""

    def stream(self) -> AsyncIterator[OrderReport | FillReport | Connected]:
        """Yield `Connected`, then reports. It ends, or raises `Unsure`, when the connection is lost."""
