"""The adapter of DeltaDeFi against a server that behaves as the venue does, in both dialects."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from decimal import Decimal
from typing import Any

import pytest

from oms_es import OMSOrder, OrderSide, OrderType
from oms_es.domain.reports import FillReport, OrderReport
from oms_es.venues.contract import Connected, Instrument, Refused, Unsure
from oms_es.venues.deltadefi import DeltaDefi
from oms_es.venues.deltadefi_messages import loads, order_report, pairs, stream_reports
from oms_es.vocabulary import ReportStatus
from tests.venues.fake_deltadefi import CONFIG, KEY, USDM, FakeDeltaDefi, Faults, sign

D = Decimal
PAIRS = pairs(CONFIG)


def order(**changes: Any) -> OMSOrder:
    values: dict[str, Any] = {
        "order_id": "o-1",
        "symbol": "ADAUSDM",
        "side": OrderSide.BUY,
        "order_type": OrderType.LIMIT,
        "quantity": D(100),
        "price": D("0.65"),
        **changes,
    }
    return OMSOrder(**values)


def client(server: FakeDeltaDefi, **changes: Any) -> DeltaDefi:
    values: dict[str, Any] = {"sign": sign, "calls_per_second": 10_000, "timeout": 2.0, **changes}
    return DeltaDefi(KEY, rest_url=server.rest_url, stream_url=server.stream_url, **values)


async def placed(venue: DeltaDefi, **changes: Any) -> OMSOrder:
    external = await venue.prepare(order(**changes))
    linked = order(external_order_id=external, **changes)
    await venue.place(linked)
    return linked


# --- messages ---


def test_a_fee_in_the_smallest_unit_is_scaled_by_rate_times_quantity() -> None:
    record = {
        "id": "x",
        "order_id": "1",
        "execution_price": "0.65",
        "filled_base_qty": "100",
        "commission_unit": "lovelace",
    }
    body = {"id": "1", "status": "open", "symbol": "ADAUSDM", "side": "buy", "base_qty": "200"}

    reports = [
        order_report({**body, "order_execution_records": [{**record, "commission": amount}]}, PAIRS)
        for amount in ("0.1", "100000")
    ]

    fees = [(fill.fee, fill.fee_currency) for report in reports for fill in report.fills or ()]
    assert fees == [(D("0.1"), "ADA"), (D("0.1"), "ADA")]


@pytest.mark.parametrize(("word", "quantity", "filled", "status"), [
    ("building", "10", "0", "pending"), ("processing", "10", "0", "pending"), ("open", "10", "4", "working"),
    ("closed", "10", "10", "filled"), ("closed", "10", "4", "cancelled"), ("failed", "10", "0", "rejected"),
    ("failed", "10", "4", "cancelled"), ("cancelled", "10", "4", "cancelled"), ("fully_filled", "10", "10", "filled"),
    ("partially_filled", "10", "4", "working"), ("partially_cancelled", "10", "4", "cancelled"),
])  # fmt: skip
def test_each_status_of_both_dialects_has_its_meaning(word: str, quantity: str, filled: str, status: str) -> None:
    report = order_report({"id": "1", "status": word, "base_qty": quantity, "executed_base_qty": filled}, PAIRS)

    assert report.status is ReportStatus(status)


def test_a_message_of_v0_has_prices_as_floats_that_stay_exact() -> None:
    text = (
        '{"sub_type": "trading_history", "data": [{"orders": [], "order_filling_records": [{"execution_id": "e", '
        '"order_id": "1", "symbol": "ADAUSDM", "side": "sell", "executed_qty": "10", "executed_price": 0.7, '
        f'"fee_charged": "0.007", "fee_unit": "{USDM}", "created_time": 1750000000}}]}}]}}'
    )

    (fill,) = stream_reports(loads(text), PAIRS)

    assert isinstance(fill, FillReport)
    assert (fill.price, fill.fee, fill.fee_currency, fill.occurred_at) == (
        D("0.7"),
        D("0.007"),
        "USDM",
        1750000000 * 10**9,
    )


# --- calls ---


@pytest.mark.parametrize("old", [False, True], ids=["v1", "v0"])
async def test_an_order_is_built_signed_submitted_filled_and_listed(old: bool) -> None:
    async with FakeDeltaDefi(old=old) as server:
        venue = client(server)
        assert await venue.instruments() == [
            Instrument(
                symbol="ADAUSDM",
                base="ADA",
                quote="USDM",
                quantity_step=D("0.01"),
                price_step=D("0.0001"),
                min_quantity=D(5),
            )
        ]
        live = await placed(venue)
        assert [each.external_order_id for each in await venue.open_orders()] == [live.external_order_id]
        server.fill(str(live.external_order_id), "40")

        report = await venue.order(external_order_id=live.external_order_id)
        assert report is not None
        assert (report.status, report.filled_quantity, report.avg_fill_price) == (
            ReportStatus.WORKING,
            D(40),
            D("0.65"),
        )
        (fill,) = report.fills or ()
        assert (fill.trade_id, fill.quantity, fill.fee, fill.fee_currency) == ("x-1", D(40), D("0.04"), "ADA")
        (listed,) = await venue.fills(0)
        assert (listed.trade_id, listed.quantity, listed.price, listed.fee, listed.side) == (
            "x-1",
            D(40),
            D("0.65"),
            D("0.04"),
            "buy",
        )
        assert await venue.balances() == {"ADA": D("39.96"), "USDM": D("-26")}
        await venue.cancel(live)
        assert await venue.open_orders() == []
        with pytest.raises(Refused, match="4201"):
            await venue.cancel(live)
        assert await venue.order(external_order_id="nobody") is None
        assert await venue.cancel_all("ADAUSDM") == []
        await venue.close()


async def test_fills_of_every_page_are_listed_and_pages_before_since_are_not_read() -> None:
    async with FakeDeltaDefi() as server:
        venue = client(server)
        live = await placed(venue, quantity=D(600))
        for _ in range(300):
            server.fill(str(live.external_order_id), "1", silent=True)

        everything = await venue.fills(0)
        server.calls.clear()
        newest = max(fill.occurred_at for fill in everything)
        recent = await venue.fills(newest)

        assert len({fill.trade_id for fill in everything}) == 300
        assert len(recent) < 300
        assert server.calls.count(("GET", "/accounts/trades")) == 1
        await venue.close()


@pytest.mark.parametrize(("faults", "error"), [
    (Faults(lost_before=1), Unsure), (Faults(lost_after=1), Unsure), (Faults(internal=1), Unsure),
    (Faults(slow=60), Unsure), (Faults(busy=1), Refused), (Faults(refused=1), Refused),
])  # fmt: skip
async def test_silence_and_errors_of_the_venues_own_are_unsure_and_4xxx_is_refused(
    faults: Faults, error: type[Exception]
) -> None:
    async with FakeDeltaDefi(3) as server:
        venue = client(server, timeout=0.1)
        await venue.instruments()
        server.faults = faults

        with pytest.raises(error) as caught:
            await venue.prepare(order())

        if faults.busy:
            assert isinstance(caught.value, Refused)
            assert caught.value.busy
        await venue.close()


async def test_an_order_that_was_submitted_before_is_unsure_for_it_lives() -> None:
    async with FakeDeltaDefi() as server:
        venue = client(server)
        external = await venue.prepare(order())
        server.orders[external].status = "open"

        with pytest.raises(Unsure, match="already submitted"):
            await venue.place(order(external_order_id=external))
        await venue.close()


async def test_a_signer_that_fails_has_no_effect_at_the_venue() -> None:
    def broken(transaction: str) -> str:
        raise OSError(f"no key for {transaction}")

    async with FakeDeltaDefi() as server:
        venue = client(server, sign=broken)
        external = await venue.prepare(order())

        with pytest.raises(Refused, match="no key"):
            await venue.place(order(external_order_id=external))
        assert server.submitted() == []
        await venue.close()


@pytest.mark.parametrize("answer", [b"{}", b'{"order_id": 5}', b'{"data": 7}', b"[]", b"null", b'"text"'])
async def test_an_answer_without_the_documented_fields_is_unsure(
    answer: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    venue = DeltaDefi(KEY, sign=sign)

    async def call(*_: Any, **__: Any) -> Any:
        return loads(answer)

    monkeypatch.setattr(venue, "_call", call)

    for asked in (
        venue.instruments(),
        venue.prepare(order()),
        venue.order(external_order_id="1"),
        venue.cancel_all("X"),
    ):
        with pytest.raises(Unsure):
            await asked


# --- the stream ---


async def reports(venue: DeltaDefi) -> AsyncGenerator[Any, None]:
    async for each in venue.stream():
        yield each


async def until_reports(messages: AsyncIterator[Any], count: int) -> list[Any]:
    return [await asyncio.wait_for(anext(messages), 5) for _ in range(count)]


@pytest.mark.parametrize("old", [False, True], ids=["v1", "v0"])
async def test_the_stream_reports_orders_and_ends_when_it_is_closed(old: bool) -> None:
    async with FakeDeltaDefi(old=old) as server:
        venue = client(server)
        async with aclosing(reports(venue)) as messages:
            assert await until_reports(messages, 1) == [Connected()]
            live = await placed(venue)
            server.fill(str(live.external_order_id))
            first, second = await until_reports(messages, 2)
            assert isinstance(first, OrderReport)
            assert (first.filled_quantity, second.status, second.filled_quantity) == (0, ReportStatus.FILLED, D(100))
            server.close_streams()
            with pytest.raises(StopAsyncIteration):
                await until_reports(messages, 1)
        await venue.close()


async def test_a_stream_that_is_cut_ends_and_one_that_is_refused_is_unsure() -> None:
    async with FakeDeltaDefi() as server:
        venue = client(server)
        async with aclosing(reports(venue)) as messages:
            await until_reports(messages, 1)
            server.cut()
            with pytest.raises((StopAsyncIteration, Unsure)):
                await until_reports(messages, 1)
        await venue.close()
    stranger = DeltaDefi("other", rest_url=server.rest_url, stream_url=server.stream_url, sign=sign)
    stranger._pairs = PAIRS
    async with aclosing(reports(stranger)) as messages:
        with pytest.raises(Unsure):
            await until_reports(messages, 1)
    await stranger.close()
