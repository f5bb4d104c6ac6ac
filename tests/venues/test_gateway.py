"""What happens when: each trouble between an OMS and a venue, and its outcome in the log."""

import asyncio
import logging
from pathlib import Path
from typing import Any

import pytest
from msgspec import structs

from oms_es import OrderManagementSystem, OrderRejected, OrderState
from oms_es.domain.reports import FillReport, OrderReport
from oms_es.errors import LogWriteFailed
from oms_es.venues.contract import Refused, Unsure
from oms_es.venues.gateway import Gateway
from tests.desk import D, ruled, until
from tests.venues.scripted import ADA, QUICK, Scripted, connected, crash

S = OrderState
BUY = (ADA, "buy", "limit", "100", "0.65")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "bot.db"


@pytest.fixture(params=[False, True], ids=["our ids", "ids of the venue"])
def venue(request: pytest.FixtureRequest) -> Scripted:
    return Scripted(assigns_ids=request.param)


# --- placing ---


async def test_an_order_is_durable_before_the_venue_hears_of_it(path: Path, venue: Scripted) -> None:
    async with connected(path, venue) as (oms, gateway):
        venue.gates["prepare"] = venue.gates["place"] = gate = asyncio.Event()
        task = asyncio.create_task(gateway.submit(*BUY, order_id="o-1"))
        await until(lambda: "prepare" in venue.calls)
        order = oms.get_order("o-1")
        assert order is not None
        assert order.state is S.PENDING
        gate.set()
        assert (await task).state is S.WORKING


async def test_an_order_that_a_limit_refuses_does_not_go_to_the_venue(path: Path, venue: Scripted) -> None:
    async with connected(path, venue, ruled(risk={"max_position_size": 50})) as (_, gateway):
        with pytest.raises(OrderRejected, match="POSITION_SIZE"):
            await gateway.submit(*BUY)

    assert "place" not in venue.calls


async def test_an_order_that_the_venue_refuses_is_rejected_with_its_reason(path: Path, venue: Scripted) -> None:
    venue.script["place"] = [Refused("insufficient balance", 4050)]
    async with connected(path, venue) as (oms, gateway):
        with pytest.raises(OrderRejected, match="VENUE: insufficient balance"):
            await gateway.submit(*BUY, order_id="o-1")

        order = oms.get_order("o-1")
        assert order is not None
        assert order.state is S.REJECTED
        assert "insufficient balance" in (order.error_message or order.reason)


async def test_a_lost_answer_of_a_live_order_is_found_by_asking(path: Path, venue: Scripted) -> None:
    venue.script["place"] = ["after"]
    async with connected(path, venue) as (_, gateway):
        order = await gateway.submit(*BUY)

    assert order.state is S.WORKING
    assert venue.calls.count("place") == 1


async def test_an_order_that_did_not_arrive_is_rejected_after_three_asks(path: Path, venue: Scripted) -> None:
    venue.script["place"] = ["before"]
    async with connected(path, venue) as (_, gateway):
        venue.calls.clear()
        order = await gateway.submit(*BUY)

    assert order.state is S.REJECTED
    assert "does not know" in (order.error_message or order.reason)
    assert (venue.calls.count("place"), venue.calls.count("order")) == (1, 3)


async def test_an_order_that_is_found_late_counts(path: Path, venue: Scripted) -> None:
    venue.script["place"] = ["after"]
    venue.script["order"] = ["before", Refused("busy", busy=True), "after"]
    async with connected(path, venue) as (_, gateway):
        order = await gateway.submit(*BUY)

    assert order.state is S.WORKING


async def test_a_busy_venue_is_asked_again_later(path: Path, venue: Scripted) -> None:
    venue.script["place"] = [Refused("rate limit", 429, busy=True)] * 2
    async with connected(path, venue) as (_, gateway):
        assert (await gateway.submit(*BUY)).state is S.WORKING

    assert venue.calls.count("place") == 3


async def test_an_error_of_the_adapter_itself_is_no_answer(path: Path, venue: Scripted) -> None:
    venue.script["place"] = [KeyError("order_id")]
    async with connected(path, venue) as (_, gateway):
        order = await gateway.submit(*BUY)

    assert order.state is S.REJECTED  # it asked, and the venue does not know it


async def test_a_cancelled_await_does_not_stop_the_order(path: Path, venue: Scripted) -> None:
    async with connected(path, venue) as (oms, gateway):
        venue.gates["place"] = gate = asyncio.Event()
        task = asyncio.create_task(gateway.submit(*BUY, order_id="o-1"))
        await until(lambda: "place" in venue.calls)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        gate.set()
        await until(lambda: not gateway.status().in_flight)

        order = oms.get_order("o-1")
        assert order is not None
        assert order.state is S.WORKING


async def test_a_submit_that_is_repeated_places_one_order(path: Path, venue: Scripted) -> None:
    async with connected(path, venue) as (_, gateway):
        first, second = await asyncio.gather(*(gateway.submit(*BUY, order_id="o-1") for _ in range(2)))
        third = await gateway.submit(*BUY, order_id="o-1")

    assert first.order_id == second.order_id == third.order_id
    assert venue.calls.count("place") == 1


async def test_an_order_off_the_step_is_rounded_before_it_is_judged(path: Path, venue: Scripted) -> None:
    async with connected(path, venue, round_to_step=True) as (_, gateway):
        order = await gateway.submit(ADA, "buy", "limit", "384.895", "0.65004")

    assert (order.quantity, order.price) == (D("384.9"), D("0.65"))


async def test_an_order_off_the_step_is_refused_unless_the_gateway_rounds(path: Path, venue: Scripted) -> None:
    async with connected(path, venue) as (_, gateway):
        with pytest.raises(OrderRejected, match=r"ORDER_QUANTITY: .*384\.89.*384\.9"):
            await gateway.submit(ADA, "buy", "limit", "384.895", "0.65")

    assert "place" not in venue.calls


# --- crashes ---


async def test_a_crash_before_the_venue_heard_of_an_order_ends_as_rejected(path: Path, venue: Scripted) -> None:
    oms = OrderManagementSystem(log=path)
    await oms.submit_order(*BUY, order_id="o-1")
    await oms.close()

    async with connected(path, venue) as (oms, _):
        order = oms.get_order("o-1")

    assert order is not None
    assert order.state is S.REJECTED


@pytest.mark.parametrize("was_placed", [False, True])
async def test_a_crash_while_an_order_is_placed_ends_as_at_the_venue(
    path: Path, venue: Scripted, was_placed: bool
) -> None:
    oms = OrderManagementSystem(log=path)
    gateway = await Gateway(oms, venue, pacing=QUICK).__aenter__()
    if was_placed:
        venue.script["place"] = ["after"]
        venue.gates["order"] = asyncio.Event()
    else:
        venue.gates["place"] = asyncio.Event()
    task = asyncio.create_task(gateway.submit(*BUY, order_id="o-1"))
    await until(lambda: ("order" if was_placed else "place") in venue.calls)
    task.cancel()
    await crash(oms, gateway)
    venue.gates.clear()
    venue.set_price(ADA, "0.64")  # it fills what is there

    async with connected(path, venue) as (oms, _):
        order = oms.get_order("o-1")

    assert order is not None
    assert (order.state, order.filled_quantity) == ((S.FILLED, D(100)) if was_placed else (S.REJECTED, D(0)))


async def test_fills_of_the_time_when_nobody_listened_are_booked_at_start(path: Path, venue: Scripted) -> None:
    async with connected(path, venue) as (_, gateway):
        order = await gateway.submit(*BUY)
    venue.set_price(ADA, "0.64")

    async with connected(path, venue) as (oms, _):
        after, position = oms.get_order(order.order_id), oms.get_position(ADA)

    assert after is not None
    assert position is not None
    assert (after.state, after.avg_fill_price, position.quantity) == (S.FILLED, D("0.64"), D(100))


async def test_a_start_at_which_nothing_is_new_writes_nothing(path: Path, venue: Scripted) -> None:
    async with connected(path, venue) as (oms, gateway):
        await gateway.submit(*BUY)
        venue.set_price(ADA, "0.64")
        await gateway.reconcile()
        before = oms.log.head().seq

    async with connected(path, venue) as (oms, gateway):
        await gateway.reconcile()

        assert oms.log.head().seq == before


async def test_a_fill_that_exceeds_its_order_waits_and_is_in_the_status(path: Path, venue: Scripted) -> None:
    async with connected(path, venue) as (_, gateway):
        order = await gateway.submit(*BUY)
        fill = FillReport(
            external_order_id=order.external_order_id, trade_id="t", symbol=ADA, side="buy", quantity=101, price="0.65"
        )
        for stream in venue._streams:
            stream.put_nowait(fill)
        await until(lambda: gateway.status().quarantined == 1)

        assert gateway.status().ignored == 0


# --- the stream ---


async def test_a_stream_that_is_cut_is_opened_again_and_reconciled(path: Path, venue: Scripted) -> None:
    async with connected(path, venue) as (oms, gateway):
        order = await gateway.submit(*BUY)
        venue.cut()
        venue.set_price(ADA, "0.64")
        await until(lambda: bool(oms.get_position(ADA)))

        after = oms.get_order(order.order_id)
        assert after is not None
        assert (after.state, gateway.status().reconnects) == (S.FILLED, 1)


async def test_a_venue_without_a_stream_is_reconciled_from_time_to_time(
    path: Path, venue: Scripted, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken() -> Any:
        raise Unsure("no stream")

    monkeypatch.setattr(venue, "stream", broken)
    pacing = structs.replace(QUICK, stream_within=0.05, reconcile_every=0.05)
    async with connected(path, venue, pacing=pacing) as (oms, gateway):
        assert not gateway.status().connected
        await gateway.submit(*BUY)
        venue.set_price(ADA, "0.64")
        await until(lambda: not oms.get_open_orders())

        position = oms.get_position(ADA)
        assert position is not None
        assert position.quantity == 100


async def test_a_message_that_is_repeated_counts_once(path: Path, venue: Scripted) -> None:
    async with connected(path, venue) as (oms, gateway):
        order = await gateway.submit(*BUY)
        venue.troubles = type(venue.troubles)(duplicates=1.0)
        venue.set_price(ADA, "0.64")
        await until(lambda: gateway.status().reports >= 5)

        after = oms.get_order(order.order_id)
        assert after is not None
        assert (after.filled_quantity, len(after.fills)) == (D(100), 1)


async def test_a_fill_without_a_message_is_found_by_the_next_reconciliation(path: Path, venue: Scripted) -> None:
    async with connected(path, venue) as (oms, gateway):
        order = await gateway.submit(*BUY)
        venue.troubles = type(venue.troubles)(drops=1.0)
        venue.set_price(ADA, "0.64")
        await gateway.reconcile()

        after = oms.get_order(order.order_id)
        assert after is not None
        assert (after.state, len(after.fills)) == (S.FILLED, 1)


async def test_a_fill_before_the_answer_to_place_is_booked_once(path: Path, venue: Scripted) -> None:
    venue.set_price(ADA, "0.64")
    async with connected(path, venue) as (oms, gateway):
        order = await gateway.submit(*BUY)
        await gateway.reconcile()

        after = oms.get_order(order.order_id)
        assert after is not None
        assert (after.state, after.filled_quantity, len(after.fills)) == (S.FILLED, D(100), 1)


async def test_a_venue_without_trade_ids_works_by_cumulative_quantities(path: Path, venue: Scripted) -> None:
    venue.lists_fills = False
    async with connected(path, venue) as (oms, gateway):
        order = await gateway.submit(*BUY)
        venue.troubles = type(venue.troubles)(partial_fills=1.0, drops=0.5, duplicates=0.5)
        for price in ("0.64", "0.63", "0.62"):
            venue.set_price(ADA, price)
            await asyncio.sleep(0.01)
        await gateway.reconcile()

        after, theirs = oms.get_order(order.order_id), await venue.order(order_id=order.order_id)
        assert after is not None
        assert (after.filled_quantity, after.avg_fill_price) == (theirs.filled_quantity, theirs.avg_fill_price)
        assert all(fill["trade_id"].startswith("inferred:") for fill in after.fills)


async def test_an_order_in_flight_is_not_reconciled(path: Path, venue: Scripted) -> None:
    async with connected(path, venue) as (oms, gateway):
        venue.gates["place"] = gate = asyncio.Event()
        task = asyncio.create_task(gateway.submit(*BUY, order_id="o-1"))
        await until(lambda: "place" in venue.calls)
        await gateway.reconcile()  # the venue does not know it yet
        order = oms.get_order("o-1")
        assert order is not None
        assert order.state is S.PENDING
        gate.set()
        assert (await task).state is S.WORKING


# --- cancels ---


async def test_a_cancel_counts_when_the_venue_confirms_it(path: Path, venue: Scripted) -> None:
    async with connected(path, venue) as (oms, gateway):
        order = await gateway.submit(*BUY)
        venue.gates["cancel"] = gate = asyncio.Event()
        task = asyncio.create_task(gateway.cancel(order.order_id))
        await until(lambda: "cancel" in venue.calls)
        asked = oms.get_order(order.order_id)
        assert asked is not None
        assert (asked.state, asked.pending_cancel) == (S.WORKING, True)
        gate.set()
        assert (await task).state is S.CANCELLED


async def test_a_fill_that_wins_against_a_cancel_completes_the_order(path: Path, venue: Scripted) -> None:
    async with connected(path, venue) as (_, gateway):
        order = await gateway.submit(*BUY)
        venue.gates["cancel"] = gate = asyncio.Event()
        task = asyncio.create_task(gateway.cancel(order.order_id))
        await until(lambda: "cancel" in venue.calls)
        venue.set_price(ADA, "0.64")
        gate.set()

        assert (await task).state is S.FILLED


async def test_a_report_of_the_end_that_comes_before_a_cancel_is_no_error(path: Path, venue: Scripted) -> None:
    async with connected(path, venue) as (oms, gateway):
        order = await gateway.submit(*BUY)
        task = asyncio.create_task(gateway.cancel(order.order_id))
        fill = oms.add_fill(order.order_id, "100", "0.65", "t")  # it is decided before the cancel
        _, cancelled = await asyncio.gather(fill, task)

        assert cancelled.state is S.FILLED


async def test_a_cancel_that_the_venue_refuses_leaves_the_order_working(path: Path, venue: Scripted) -> None:
    venue.script["cancel"] = [Refused("too late")]
    async with connected(path, venue) as (_, gateway):
        order = await gateway.submit(*BUY)
        order = await gateway.cancel(order.order_id)

        assert (order.state, order.pending_cancel) == (S.WORKING, False)


@pytest.mark.parametrize("lost", ["before", "after"])
async def test_a_cancel_without_an_answer_is_resolved_by_asking(path: Path, venue: Scripted, lost: str) -> None:
    venue.script["cancel"] = [lost]
    async with connected(path, venue) as (_, gateway):
        order = await gateway.submit(*BUY)

        assert (await gateway.cancel(order.order_id)).state is S.CANCELLED
        assert (await gateway.cancel(order.order_id)).state is S.CANCELLED  # a done order


async def test_a_cancel_that_a_crash_kept_from_the_venue_is_sent_at_start(path: Path, venue: Scripted) -> None:
    async with connected(path, venue) as (oms, gateway):
        order = await gateway.submit(*BUY)
        await oms.request_cancel(order.order_id)

    async with connected(path, venue) as (oms, _):
        await until(lambda: not oms.get_open_orders())
        after = oms.get_order(order.order_id)

    assert after is not None
    assert after.state is S.CANCELLED


# --- disagreements and troubles of the connection ---


async def test_an_order_that_only_the_venue_has_is_a_break_and_not_corrected(
    path: Path, venue: Scripted, caplog: pytest.LogCaptureFixture
) -> None:
    async with connected(path.with_name("other.db"), venue) as (_, other):
        stranger = await other.submit(*BUY, order_id="of another session")

    with caplog.at_level(logging.WARNING, "oms_es"):
        async with connected(path, venue) as (oms, gateway):
            (found,) = gateway.status().breaks
            await gateway.reconcile()  # a break that is known is not reported again

            assert (found.kind, found.name) == ("unknown_order", stranger.external_order_id)
            assert found.detail.endswith(": buy 100 ADAUSDM at 0.65")
            assert oms.get_open_orders() == []
    assert sum("disagrees" in each.message for each in caplog.records) == 1


async def test_an_order_that_is_listed_without_our_id_is_no_break(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    venue = Scripted()
    oms = OrderManagementSystem(log=path)
    gateway = await Gateway(oms, venue, pacing=QUICK).__aenter__()
    venue.script["place"], venue.gates["order"] = ["after"], asyncio.Event()
    task = asyncio.create_task(gateway.submit(*BUY, order_id="o-1"))
    await until(lambda: "order" in venue.calls)
    listed = venue.open_orders

    async def without_our_ids() -> Any:
        return [structs.replace(each, order_id=None) for each in await listed()]

    monkeypatch.setattr(venue, "open_orders", without_our_ids)
    assert (await gateway.reconcile()).breaks == ()  # it is in flight
    task.cancel()
    await crash(oms, gateway)
    venue.gates.clear()

    async with connected(path, venue) as (oms, gateway):
        order = oms.get_order("o-1")
        assert order is not None
        assert (order.state, gateway.status().breaks) == (S.WORKING, ())


async def test_an_order_that_is_done_here_and_open_at_the_venue_is_a_break(path: Path, venue: Scripted) -> None:
    async with connected(path, venue) as (oms, gateway):
        order = await gateway.submit(*BUY)
        await oms.cancel_order(order.order_id, "without asking the venue")
        status = await gateway.reconcile()
        assert [(each.kind, each.name) for each in status.breaks] == [("open_order", order.order_id)]
        venue.set_price(ADA, "0.64")  # it fills, which the log books
        status = await gateway.reconcile()

        assert status.breaks == ()
        position = oms.get_position(ADA)
        assert position is not None
        assert position.quantity == 100


async def test_a_balance_that_changes_without_a_fill_is_a_break(path: Path, venue: Scripted) -> None:
    async with connected(path, venue) as (_, gateway):
        await gateway.submit(*BUY)
        venue.set_price(ADA, "0.64")
        await gateway.reconcile()
        assert (await gateway.reconcile()).breaks == ()
        transfer = {"ADA": D(130)}
        venue.balances = lambda: asyncio.sleep(0, transfer)  # type: ignore[method-assign]
        first, second = await gateway.reconcile(), await gateway.reconcile()

        assert first.breaks == ()  # a fill may be on its way
        (found,) = second.breaks
        assert (found.kind, found.name) == ("position", "ADA")
        assert "30 more than the log" in found.detail


async def test_an_order_that_the_venue_forgot_is_cancelled(path: Path, venue: Scripted) -> None:
    async with connected(path, venue) as (oms, gateway):
        order = await gateway.submit(*BUY)
        venue._orders.clear()
        await gateway.reconcile()
        after = oms.get_order(order.order_id)

    assert after is not None
    assert after.state is S.CANCELLED


async def test_a_report_that_cannot_be_is_counted_and_the_rest_goes_on(path: Path, venue: Scripted) -> None:
    async with connected(path, venue) as (_, gateway):
        for stream in venue._streams:
            stream.put_nowait(OrderReport(status="working", external_order_id="V", quantity=D(-1)))
        order = await gateway.submit(*BUY)
        await until(lambda: gateway.status().ignored == 1)

        assert order.state is S.WORKING


async def test_a_report_that_a_full_disk_refused_is_recorded_later(
    path: Path, venue: Scripted, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with connected(path, venue) as (oms, gateway):
        order = await gateway.submit(*BUY)
        apply, failures = oms.apply_report, [LogWriteFailed("the disk is full")] * 3

        async def full(*arguments: Any, **named: Any) -> Any:
            if failures:
                raise failures.pop()
            return await apply(*arguments, **named)

        monkeypatch.setattr(oms, "apply_report", full)
        venue.set_price(ADA, "0.64")
        await until(lambda: not oms.get_open_orders())

        after = oms.get_order(order.order_id)
        assert after is not None
        assert (after.state, len(after.fills)) == (S.FILLED, 1)


async def test_a_gateway_stops_when_the_log_cannot_be_written_any_more(path: Path, venue: Scripted) -> None:
    async with connected(path, venue) as (_, gateway):
        await gateway.submit(*BUY)
        path.rename(path.with_name("elsewhere.db"))
        venue.set_price(ADA, "0.64")
        await until(lambda: gateway.status().failure is not None)

        assert "has stopped" in (gateway.status().failure or "")


async def test_a_venue_that_is_down_at_start_is_reported(path: Path, venue: Scripted) -> None:
    venue.script["open_orders"] = ["before"] * 1_000
    oms = OrderManagementSystem(log=path)
    async with oms:
        with pytest.raises(Unsure, match="not ready within"):
            await Gateway(oms, venue, pacing=QUICK, ready_within=0.1).__aenter__()


async def test_a_venue_that_is_down_for_a_while_is_reconciled_when_it_is_back(path: Path, venue: Scripted) -> None:
    venue.script["open_orders"] = ["before", "after", "before"]
    venue.script["fills"] = ["before"]
    async with connected(path, venue) as (_, gateway):
        status = gateway.status()

    assert status.reconciliations == 1
    assert status.unsure == 4


async def test_the_status_is_in_the_metrics(path: Path, venue: Scripted) -> None:
    async with connected(path, venue) as (_, gateway):
        await gateway.submit(*BUY)
        text = gateway.metrics.text()

    assert "oms_venue_submits_total 1.0" in text
    assert "oms_venue_connected 1.0" in text
    assert "oms_open_orders 1.0" in text
